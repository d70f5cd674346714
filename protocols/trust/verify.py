"""The node's side: is this release what the centre signed, and is that the newest there is?

Python-tuf's client does the verifying. Around it: a floor of versions that outlives power cuts and restored backups, a
time that a wrong clock cannot spoil, durable files, and errors that name the attack.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Signature
from tuf.api import exceptions as e
from tuf.api.metadata import Metadata, Root, Snapshot, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from protocols import files
from protocols.trust import FOLDER, MAX_METADATA, TIME, TrustError, target_path
from protocols.trust.sign import time_statement

METADATA: Final = "metadata"
FLOOR: Final = "floor.json"
ROOT: Final = "root.json"
ROLES: Final = ("root", "timestamp", "snapshot", "targets")
MAX_TIME: Final = 1024
"""Bytes of an answer to the question for the time."""
TRIES: Final = 2
"""Once more after a failure: the first try may have brought the keys that the second one needs."""
_CONFIG: Final = UpdaterConfig(max_root_rotations=64, targets_max_length=MAX_METADATA)


class MissingError(Exception):
    """The other side has no such file."""


class UnreachableError(Exception):
    """The other side does not answer now; nothing is wrong with what it signed."""


class Reader(Protocol):
    """Where small files come from: the link, or a folder served by HTTPS."""

    def read(self, name: str, limit: int) -> bytes:
        """Return the file `name` (``trust/timestamp.json``), read no further than just beyond `limit` bytes.

        Raises MissingError, UnreachableError.
        """
        ...


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """The highest versions that were ever trusted, and the latest time that was ever proven.

    Versions other than the root's count as long as the keys of timestamp and snapshot do: where a thief made versions
    run ahead, new keys start anew (TUF specification 5.3.11).
    """

    root: Annotated[int, Meta(ge=0)] = 0
    timestamp: Annotated[int, Meta(ge=0)] = 0
    snapshot: Annotated[int, Meta(ge=0)] = 0
    targets: Annotated[int, Meta(ge=0)] = 0
    keys: list[str] = []
    """Ids of the keys of timestamp and snapshot, as of then."""
    time: datetime | None = None


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """What the centre signed about a pack: the length (bytes) and SHA-256 of its archive."""

    length: int
    sha256: str


class _Fetcher(FetcherInterface):
    """Python-tuf's view of a `Reader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield self._reader.read(url, MAX_METADATA)
        except MissingError:
            raise e.DownloadHTTPError(f"{url}: not there", 404) from None


class Verifier:
    """What this node trusts, kept in ``<data>/trust/``. `root` is the first root metadata, from the node's enrolment.

    `clock` gives the time of this machine, which may be wrong. Used by one thread.
    """

    def __init__(
        self, data: Path, root: bytes, reader: Reader, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder, self.floor = data / FOLDER / METADATA, data / FOLDER / FLOOR
        self._bootstrap, self._reader, self._clock = root, reader, clock
        try:
            if not isinstance(Metadata[Root].from_bytes(root).signed, Root):
                raise TrustError("the node's first root metadata is of another kind; enrol the node again")
        except e.RepositoryError as error:
            raise TrustError(f"the node's first root metadata is damaged ({error}); enrol the node again") from None

    def approve(self, address: str, number: int) -> Approved:
        """Return what the centre signed about the pack `address` as release `number`, with news of what it signs.

        Raises TrustError, which names the attack or what is amiss; UnreachableError; OSError.
        """
        for left in reversed(range(TRIES)):
            try:
                updater = self.refresh()
                break
            except TrustError:
                if not left:
                    raise
        target = updater.get_targetinfo(target_path(address))
        if target is None:
            raise TrustError(f"not signed: the centre signed no pack {address[:12]}")
        releases = target.custom.get("releases") if target.custom else None
        if not isinstance(releases, list) or number not in releases:
            raise TrustError(f"mixed: pack {address[:12]} was never signed as release {number}")
        if set(target.hashes) != {"sha256"}:
            raise TrustError(f"malformed: pack {address[:12]} was signed without its SHA-256")
        return Approved(length=target.length, sha256=target.hashes["sha256"])

    def refresh(self) -> Updater:
        """Ask for what the centre signs now, and keep it. Raises TrustError, UnreachableError, OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        floor, proven = self._floor(), self._ask_time()
        if proven is not None and (floor.time is None or proven > floor.time):
            floor = msgspec.structs.replace(floor, time=proven)
            files.write_atomic(self.floor, msgspec.json.encode(floor), 0o600)
        try:
            updater = Updater(
                str(self.folder), FOLDER, fetcher=_Fetcher(self._reader), config=_CONFIG, bootstrap=self._bootstrap
            )
            trusted = updater._trusted_set  # python-tuf has no other way to say what time it is
            trusted.reference_time = proven or max(self._clock(), floor.time or datetime.min.replace(tzinfo=UTC))
            updater.refresh()
        except (e.RepositoryError, e.DownloadError, ValueError, KeyError, TypeError) as error:
            raise _named(error) from None
        versions = {role: int(getattr(trusted, role).version) for role in ROLES}
        keys = sorted({k for role in (Timestamp, Snapshot) for k in trusted.root.roles[role.type].keyids})
        for role, version in versions.items():
            if version < getattr(floor, role) and (role == Root.type or floor.keys == keys):
                raise TrustError(f"rollback: {role} {version}, but {getattr(floor, role)} was trusted before")
        self._keep(Floor(**versions, keys=keys, time=floor.time))
        return updater

    def _floor(self) -> Floor:
        try:
            return msgspec.json.decode(self.floor.read_bytes(), type=Floor)
        except FileNotFoundError:
            return Floor()
        except (msgspec.MsgspecError, ValueError):
            # It is replaced atomically, so this is a broken disk or a hand: metadata still guards, the floor does not.
            raise TrustError(f"{self.floor}: damaged; enrol the node again") from None

    def _keep(self, floor: Floor) -> None:
        """Make everything durable before anything is done because of it: python-tuf does not."""
        for path in self.folder.glob("*.json"):
            _sync(path)
        files.sync_folder(self.folder / "root_history")
        if floor != self._floor():
            files.write_atomic(self.floor, msgspec.json.encode(floor), 0o600)
        files.sync_folder(self.folder)

    def _ask_time(self) -> datetime | None:
        """Return the time that the centre proves, or None where nobody tells it: then this machine's clock counts."""
        nonce = secrets.token_hex(16)
        try:
            answer = json.loads(self._reader.read(f"{TIME}/{nonce}", MAX_TIME))
            time, keyid, signature = str(answer["time"]), str(answer["keyid"]), str(answer["sig"])
            root = self._known_root()
            if keyid not in root.roles[Timestamp.type].keyids:
                return None  # of a key that the coming root may bring
            root.get_key(keyid).verify_signature(Signature(keyid, signature), time_statement(nonce, time))
            return datetime.fromisoformat(time).astimezone(UTC)
        except MissingError:
            return None
        except (UnverifiedSignatureError, VerificationError):
            raise TrustError("tampered: the centre's time has a wrong signature") from None
        except (ValueError, KeyError, TypeError):
            raise TrustError("malformed: the centre's time cannot be read") from None

    def _known_root(self) -> Root:
        """Return the newest root that was verified here, else the first one."""
        try:
            found = Metadata[Root].from_bytes((self.folder / ROOT).read_bytes())
        except (OSError, e.RepositoryError):
            found = Metadata[Root].from_bytes(self._bootstrap)
        return found.signed


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _named(error: Exception) -> Exception:
    """Return `error` of python-tuf in the words of this project; what is no attack stays what it is."""
    kinds = (
        (e.ExpiredMetadataError, "frozen: what the centre signed has expired, and nothing newer came"),
        (e.BadVersionNumberError, "rollback: older than, or not the version that was announced"),
        (e.UnsignedMetadataError, "tampered: too few valid signatures"),
        (e.DownloadLengthMismatchError, "endless: more data than allowed"),
        (e.LengthOrHashMismatchError, "mixed: not the file that was signed"),
    )
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UnreachableError):
            return cause
        cause = cause.__cause__
    for kind, words in kinds:
        if isinstance(error, kind):
            return TrustError(f"{words} ({error})")
    if isinstance(error, e.DownloadHTTPError):
        return TrustError(f"incomplete: the centre lacks a file that it signed ({error})")
    return TrustError(f"malformed: {error}")
