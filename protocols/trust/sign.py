"""The centre's side: what it signs, in ``<data>/trust/``, as a TUF repository with consistent snapshots.

    <n>.root.json  <n>.targets.json  <n>.snapshot.json  timestamp.json

A change is written from the inside out, timestamp.json last and atomically: a node, or a restart, sees the old state or
the new one. Only the online key is used here, and it can sign neither a root nor, therefore, another key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from protocols import files
from protocols.trust import (
    RENEW_SHARE,
    ROOT_LIFETIME,
    SNAPSHOT_LIFETIME,
    TARGETS_LIFETIME,
    TIMESTAMP_LIFETIME,
    TrustError,
    target_path,
)

ONLINE: Final = (Targets.type, Snapshot.type, Timestamp.type)
"""Roles that the centre's online key may sign."""
NONCE: Final = re.compile(r"[0-9a-f]{32}")
TIME_DOMAIN: Final = b"wayside-time-1"
"""First line of what is signed about the time, so that the signature can mean nothing else."""

_Role = TypeVar("_Role", Root, Targets, Snapshot, Timestamp)


def time_statement(nonce: str, time: str) -> bytes:
    """Return the bytes that are signed to say that it was `time` (ISO 8601) after `nonce` was drawn."""
    return b"\n".join((TIME_DOMAIN, nonce.encode(), time.encode()))


def _after(now: datetime, lifetime: timedelta) -> datetime:
    return (now + lifetime).replace(microsecond=0)


def make_root(
    roots: Sequence[CryptoSigner],
    threshold: int,
    online: Key,
    now: datetime,
    previous: Metadata[Root] | None = None,
    signers: Sequence[CryptoSigner] = (),
) -> Metadata[Root]:
    """Return root metadata in which `threshold` of `roots` count, and `online` for all other roles.

    With `previous` it is the next version, to be signed by the old root keys too: `signers` are those of them that are
    at hand. Raises TrustError where too few are.
    """
    if not 1 <= threshold <= len(roots):
        raise TrustError(f"threshold {threshold} with {len(roots)} root keys: give 1 to {len(roots)}")
    version = previous.signed.version + 1 if previous is not None else 1
    signed = Root(version=version, expires=_after(now, ROOT_LIFETIME), consistent_snapshot=True)
    for signer in roots:
        signed.add_key(signer.public_key, Root.type)
    signed.roles[Root.type].threshold = threshold
    for role in ONLINE:
        signed.add_key(online, role)
    made = Metadata(signed)
    for signer in {s.public_key.keyid: s for s in (*roots, *signers)}.values():
        made.sign(signer, append=True)
    made.verify_delegate(Root.type, made)
    if previous is not None:
        try:
            previous.verify_delegate(Root.type, made)
        except RepositoryError:
            raise TrustError(
                f"root {version} needs {previous.signed.roles[Root.type].threshold} signatures of the keys of root "
                f"{version - 1}; give more of the old root keys"
            ) from None
    return made


class Repository:
    """The signed state in `folder`, changed with the key `online`. Made by `create` or opened by the constructor.

    Not thread-safe: one owner changes it.
    """

    def __init__(self, folder: Path, online: CryptoSigner) -> None:
        self.folder, self._online = folder, online
        versions = sorted(int(p.name.split(".")[0]) for p in folder.glob("*.root.json"))
        if not versions:
            raise TrustError(f"{folder}: no root.json; make keys first")
        self.root: Metadata[Root] = self._read(f"{versions[-1]}.root.json", Root)
        if any(online.public_key.keyid not in self.root.signed.roles[role].keyids for role in ONLINE):
            raise TrustError(f"{folder}: root {versions[-1]} does not know the centre's online key; sign a new root")
        self.timestamp: Metadata[Timestamp] = self._read("timestamp.json", Timestamp)
        snapshot = self.timestamp.signed.snapshot_meta.version
        self.snapshot: Metadata[Snapshot] = self._read(f"{snapshot}.snapshot.json", Snapshot)
        targets = self.snapshot.signed.meta["targets.json"].version
        self.targets: Metadata[Targets] = self._read(f"{targets}.targets.json", Targets)

    @classmethod
    def create(cls, folder: Path, root: Metadata[Root], online: CryptoSigner, now: datetime) -> Repository:
        """Make an empty repository in `folder` under `root`, which knows `online`. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        targets = Metadata(Targets(version=1, expires=_after(now, TARGETS_LIFETIME)))
        meta = {"targets.json": MetaFile(1)}
        snapshot = Metadata(Snapshot(version=1, expires=_after(now, SNAPSHOT_LIFETIME), meta=meta))
        stamp = Metadata(
            Timestamp(version=1, expires=_after(now, TIMESTAMP_LIFETIME), snapshot_meta=MetaFile(1))
        )
        for made in (targets, snapshot, stamp):
            made.sign(online)
        files.write_atomic(folder / "1.targets.json", targets.to_bytes())
        files.write_atomic(folder / "1.snapshot.json", snapshot.to_bytes())
        files.write_atomic(folder / "timestamp.json", stamp.to_bytes())
        files.write_atomic(folder / f"{root.signed.version}.root.json", root.to_bytes())  # last: now it exists
        return cls(folder, online)

    def _read(self, name: str, role: type[_Role]) -> Metadata[_Role]:
        path = self.folder / name
        try:
            found = Metadata[role].from_bytes(path.read_bytes())  # type: ignore[valid-type]
        except OSError as error:
            raise TrustError(f"{path}: cannot be read ({error.strerror}); restore it from a backup") from None
        except RepositoryError as error:
            raise TrustError(f"{path}: damaged ({error}); restore it from a backup") from None
        if not isinstance(found.signed, role):
            raise TrustError(f"{path}: holds {found.signed.type}, not {role.type}")
        return found

    def adopt(self, root: Metadata[Root], online: CryptoSigner, now: datetime) -> None:
        """Go on under the next `root`, signing with `online` from now on. Raises TrustError, OSError."""
        if root.signed.version != self.root.signed.version + 1:
            raise TrustError(f"root {root.signed.version} does not follow root {self.root.signed.version}")
        try:
            self.root.verify_delegate(Root.type, root)
            root.verify_delegate(Root.type, root)
        except RepositoryError as error:
            raise TrustError(f"root {root.signed.version}: {error}") from None
        files.write_atomic(self.folder / f"{root.signed.version}.root.json", root.to_bytes())
        self.root, self._online = root, online
        self._sign_targets(now)

    def heal(self, now: datetime) -> bool:
        """Sign anew what the newest root does not confirm, as after a power cut within `adopt`; say whether any."""
        try:
            for role, made in ((Targets, self.targets), (Snapshot, self.snapshot), (Timestamp, self.timestamp)):
                self.root.verify_delegate(role.type, made)
        except RepositoryError:
            self._sign_targets(now)
            return True
        return False

    def add(self, address: str, length: int, sha256: str, release: int, name: str, now: datetime) -> None:
        """Sign that the pack with `address`, an archive of `length` bytes, is `release`. Raises TrustError, OSError."""
        path = target_path(address)
        old = self.targets.signed.targets.get(path)
        releases = set(old.custom.get("releases", ())) if old is not None and old.custom else set()
        if old is not None and (old.length, old.hashes) != (length, {"sha256": sha256}):
            raise TrustError(f"pack {address[:12]}: another archive of it was signed before")
        custom = {"releases": sorted(releases | {release}), "name": name}
        self.targets.signed.targets[path] = TargetFile(length, {"sha256": sha256}, path, {"custom": custom})
        self._sign_targets(now)

    def withdraw(self, address: str, release: int, now: datetime) -> bool:
        """Sign no more that the pack with `address` is `release`; say whether it was signed so far. Raises OSError."""
        old = self.targets.signed.targets.get(target_path(address))
        releases = set(old.custom.get("releases", ())) if old is not None and old.custom else set()
        if old is None or not old.custom or release not in releases:
            return False
        old.custom["releases"] = sorted(releases - {release})
        self._sign_targets(now)
        return True

    def leap(self, versions: int, now: datetime) -> None:
        """Go on `versions` further than the next ones: after a restore, past those that nodes trusted meanwhile.

        Raises OSError.
        """
        for signed in (self.targets.signed, self.snapshot.signed, self.timestamp.signed):
            signed.version += versions
        self._sign_targets(now)

    def _sign_targets(self, now: datetime) -> None:
        signed = self.targets.signed
        signed.version, signed.expires = signed.version + 1, _after(now, TARGETS_LIFETIME)
        self.targets.sign(self._online)
        files.write_atomic(self.folder / f"{signed.version}.targets.json", self.targets.to_bytes())
        self.snapshot.signed.meta["targets.json"].version = signed.version
        self._sign_snapshot(now)

    def _sign_snapshot(self, now: datetime) -> None:
        signed = self.snapshot.signed
        signed.version, signed.expires = signed.version + 1, _after(now, SNAPSHOT_LIFETIME)
        self.snapshot.sign(self._online)
        files.write_atomic(self.folder / f"{signed.version}.snapshot.json", self.snapshot.to_bytes())
        self.timestamp.signed.snapshot_meta.version = signed.version
        self._sign_timestamp(now)

    def _sign_timestamp(self, now: datetime) -> None:
        signed = self.timestamp.signed
        signed.version, signed.expires = signed.version + 1, _after(now, TIMESTAMP_LIFETIME)
        self.timestamp.sign(self._online)
        files.write_atomic(self.folder / "timestamp.json", self.timestamp.to_bytes())
        self._tidy()

    def _tidy(self) -> None:
        """Delete versions that the last two snapshots do not name: a node may be reading the one before."""
        for role, newest in ((Targets, self.targets.signed.version), (Snapshot, self.snapshot.signed.version)):
            for path in self.folder.glob(f"*.{role.type}.json"):
                if int(path.name.split(".")[0]) < newest - 1:
                    path.unlink(missing_ok=True)

    def renew(self, now: datetime) -> bool:
        """Sign anew what has less than half of its lifetime left, and return whether anything had. Raises OSError."""

        def due(expires: datetime, lifetime: timedelta) -> bool:
            return expires - now < lifetime * RENEW_SHARE

        if due(self.targets.signed.expires, TARGETS_LIFETIME):
            self._sign_targets(now)
        elif due(self.snapshot.signed.expires, SNAPSHOT_LIFETIME):
            self._sign_snapshot(now)
        elif due(self.timestamp.signed.expires, TIMESTAMP_LIFETIME):
            self._sign_timestamp(now)
        else:
            return False
        return True

    def tell_time(self, nonce: str, now: datetime) -> bytes:
        """Return what proves to whoever drew `nonce` (32 hexadecimal digits) that it is `now`. Raises TrustError."""
        if not NONCE.fullmatch(nonce):
            raise TrustError("a nonce has 32 hexadecimal digits")
        time = now.astimezone(UTC).isoformat(timespec="seconds")
        signature = self._online.sign(time_statement(nonce, time))
        return json.dumps({"time": time, "keyid": signature.keyid, "sig": signature.signature}).encode()
