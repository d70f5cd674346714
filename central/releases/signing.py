"""What the centre signs, and with which keys: ``<data>/trust/`` for everybody, ``<data>/keys/`` for nobody else.

keys/online.pem   signs releases and their freshness; stays here
keys/root.pem     made only where nobody prepared better ones (`wayside-central keys init`); belongs offline
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from securesystemslib.signer import CryptoSigner

from central.releases.registry import archive_path
from central.store.models import Release
from protocols import files, trust
from protocols.messages import utc_now
from protocols.trust import TrustError, keys
from protocols.trust.sign import Repository, make_root

log = structlog.get_logger("central.signing")

KEYS: Final = "keys"
ONLINE: Final = "online.pem"
ROOT: Final = "root.pem"
COMING: Final = "next-online.pem"
"""The online key that a rotation is about to make count."""
LOCK: Final = "lock"
FIRST_ROOT: Final = "1.root.json"
LEAP: Final = 100_000
"""Versions; a centre that signs every ten minutes takes two years for them."""
RENEW_S: Final = 600.0
"""Between looks for what has to be signed anew; lifetimes are days."""


def prepare(data: Path, roots: list[Path], threshold: int, now: datetime | None = None) -> Repository:
    """Make root keys in the files `roots`, the online key, and an empty repository in the data folder `data`.

    Raises TrustError where there are keys already, and OSError.
    """
    folder, online = data / trust.FOLDER, data / KEYS / ONLINE
    if any(folder.glob("*.root.json")):
        raise TrustError(f"{folder}: there is a root already; to replace keys use keys rotate")
    made = [keys.make(path) for path in roots]
    signer = keys.load(online) if online.is_file() else keys.make(online)
    moment = now or utc_now()
    return Repository.create(folder, make_root(made, threshold, signer.public_key, moment), signer, moment)


def open_repository(data: Path) -> Repository:
    """Return the repository in the data folder `data`, made with a root key of its own where there is none yet.

    Raises TrustError, OSError.
    """
    folder = data / trust.FOLDER
    if any(folder.glob("*.root.json")):
        made = _opened(folder, data / KEYS)
        made.heal(utc_now())
        return made
    root = data / KEYS / ROOT
    if root.exists():  # an interrupted first start: nobody has seen these keys
        root.unlink()
    made = prepare(data, [root], 1)
    log.warning("made a root key; move it to a safe place offline, it is needed only to replace keys", file=str(root))
    return made


def _lock(data: Path) -> int:
    """Return the open lock of the one program that signs. Raises TrustError where another one runs."""
    folder = data / KEYS
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise TrustError(f"{folder}: another program signs with these keys; stop it first") from None
    return handle


@contextlib.contextmanager
def owned(data: Path) -> Iterator[Repository]:
    """Open the repository in `data`, which nobody else changes meanwhile. Raises TrustError, OSError."""
    handle = _lock(data)
    try:
        if not any((data / trust.FOLDER).glob("*.root.json")):
            raise TrustError(f"{data / trust.FOLDER}: there are no keys yet; use keys init, or start the centre once")
        yield open_repository(data)
    finally:
        os.close(handle)


def leap(data: Path, now: datetime) -> bool:
    """Sign everything in the data folder `data` with versions far above those it has; False where nothing was signed.

    For a centre that was brought back from a backup: nodes trust what it signed after that, and nothing older. Raises
    TrustError, OSError.
    """
    if not any((data / trust.FOLDER).glob("*.root.json")) or not (data / KEYS / ONLINE).is_file():
        return False
    with owned(data) as repository:
        repository.leap(LEAP, now)
    return True


def newest_root(data: Path) -> bytes:
    """Return the root metadata that a new node starts from; keys are made where there are none. Raises TrustError."""
    folder = data / trust.FOLDER
    if not any(folder.glob("*.root.json")):
        handle = _lock(data)
        try:
            open_repository(data)
        finally:
            os.close(handle)
    newest = max(folder.glob("*.root.json"), key=lambda path: int(path.name.split(".")[0]))
    return newest.read_bytes()


def rotate(data: Path, old: Sequence[CryptoSigner], new_roots: Sequence[Path], threshold: int, now: datetime) -> None:
    """Replace the online key, and the root keys by new ones in the files `new_roots` where there are any.

    `old` are root keys that are at hand. After a power cut at any point, opening goes on with the old keys or the new
    ones. Raises TrustError, OSError.
    """
    with owned(data) as repository:
        online = keys.make(data / KEYS / COMING)
        roots = [keys.make(path) for path in new_roots] or list(old)
        root = make_root(roots, threshold, online.public_key, now, repository.root, old)
        repository.adopt(root, online, now)
        (data / KEYS / COMING).replace(data / KEYS / ONLINE)
        files.sync_folder(data / KEYS)


def _opened(folder: Path, secret: Path) -> Repository:
    """Open the repository with the key that its newest root knows: the coming one where `rotate` was cut short."""
    coming = secret / COMING
    if coming.is_file():
        with contextlib.suppress(TrustError):
            made = Repository(folder, keys.load(coming))
            coming.replace(secret / ONLINE)
            files.sync_folder(secret)
            return made
        coming.unlink()
    return Repository(folder, keys.load(secret / ONLINE))


class Signing:
    """Signs releases, and keeps what was signed fresh. Safe to use from several threads.

    The only one that signs in folder `data` until `close`. `publish` is called, in the thread that signs, whenever
    something was signed: nobody is told of it before that returned. A server that is given metadata but no online key
    (`optional`) is not `able` to sign, and hands out what others signed. Raises TrustError, OSError.
    """

    def __init__(
        self, data: Path, clock: Callable[[], datetime] = utc_now, publish: Callable[[], None] = lambda: None,
        optional: bool = False,
    ) -> None:  # fmt: skip
        self._handle: int | None = _lock(data)
        self._data, self._publish, self._optional = data, publish, optional
        self._opened: Repository | None = None
        self._packs, self._clock, self._lock = data / "packs", clock, threading.Lock()
        try:
            self.reload()
        except BaseException:
            self.close()
            raise

    @property
    def able(self) -> bool:
        """Whether this server has the key that signs."""
        return self._opened is not None

    @property
    def _repository(self) -> Repository:
        if self._opened is None:
            raise TrustError(f"{self._data / KEYS / ONLINE}: this server has no online key and cannot sign")
        return self._opened

    def reload(self) -> None:
        """Go on with what lies in the folder now. Raises TrustError, OSError."""
        with self._lock:
            given = any((self._data / trust.FOLDER).glob("*.root.json"))
            if self._optional and given:
                self._opened = None
                try:
                    self._opened = open_repository(self._data)
                except TrustError as error:
                    log.warning("this server cannot sign; another one has to", reason=str(error))
                return
            self._opened = open_repository(self._data)

    def close(self) -> None:
        """Let another program sign."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def sign(self, release: Release) -> None:
        """Sign that the registered pack of `release` is that release, once. Raises TrustError, OSError."""
        with self._lock:
            target = self._repository.targets.signed.targets.get(trust.target_path(release.pack))
            if target is not None and target.custom and release.number in target.custom.get("releases", ()):
                return
            path = archive_path(self._packs, release.pack)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                length = file.tell()
            self._repository.add(release.pack, length, digest, release.number, release.name, self._clock())
            self._publish()
        log.info("release signed", release=release.number, pack=release.pack[:12])

    def withdraw(self, release: Release) -> None:
        """Sign no more that the pack of `release` is that release: who has not begun refuses it. Raises OSError."""
        with self._lock:
            taken = self._repository.withdraw(release.pack, release.number, self._clock())
            if taken:
                self._publish()
        if taken:
            log.info("release withdrawn", release=release.number, pack=release.pack[:12])

    def read(self, name: str) -> bytes | None:
        """Return the file `name` (``trust/<file>`` or ``time/<nonce>``) as nodes get it, None where there is none."""
        kind, _, rest = name.partition("/")
        with self._lock:
            if kind == trust.TIME:
                try:
                    return self._repository.tell_time(rest, self._clock())
                except TrustError:
                    return None
            if kind != trust.FOLDER or not rest.endswith(".json") or "/" in rest:
                return None
            try:
                return (self._data / trust.FOLDER / rest).read_bytes()
            except OSError:
                return None

    def renew(self) -> bool:
        """Sign anew what grows old. Raises TrustError, OSError."""
        with self._lock:
            renewed = self._repository.renew(self._clock())
            if renewed:
                self._publish()
            return renewed

    async def keep(self) -> None:
        """Renew from time to time, until cancelled."""
        while True:
            if await asyncio.to_thread(self.renew):
                log.info("signatures renewed")
            await asyncio.sleep(RENEW_S)
