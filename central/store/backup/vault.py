"""The folder that backups lie in: each content once, by its SHA-256, and a manifest per backup, written last."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from central.store.backup import FORMAT, BackupError, Manifest
from protocols.files import make_folder, sync_folder, write_atomic

CHUNK: Final = 1024 * 1024
"""Bytes read at a time."""
OBJECTS: Final = "objects"
BACKUPS: Final = "backups"
MAX_MANIFEST: Final = 1 << 30
"""Bytes; that of ten million images."""


class Vault:
    """Backups in `folder`, which only its owner may read: there are keys in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.written = folder, 0

    def begin(self) -> None:
        """Make the folders where they are missing. Raises OSError."""
        for part in (self.folder, self.folder / OBJECTS, self.folder / BACKUPS):
            make_folder(part)
            part.chmod(0o700)

    def path(self, sha256: str) -> Path:
        """Return where the object lies, or would."""
        return self.folder / OBJECTS / sha256[:2] / sha256

    def keep(self, pieces: Iterable[bytes]) -> tuple[str, int]:
        """Store a content given in `pieces`, durably, and return its hash and size; `written` grows where it is new.

        Raises OSError.
        """
        part = self.folder / OBJECTS / f".{secrets.token_hex(8)}.part"
        digest, size = hashlib.sha256(), 0
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    size += file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            sha256 = digest.hexdigest()
            place = self.path(sha256)
            if not place.exists():
                make_folder(place.parent)
                part.replace(place)
                self.written += size
                sync_folder(place.parent)
        finally:
            part.unlink(missing_ok=True)
        return sha256, size

    def keep_file(self, path: Path) -> tuple[str, int]:
        """Store the content of the file at `path` as it is now. Raises OSError."""
        with path.open("rb") as file:
            return self.keep(iter(lambda: file.read(CHUNK), b""))

    def pieces(self, sha256: str) -> Iterator[bytes]:
        """Yield the object piece by piece. Raises BackupError at its end where it is not what its name says."""
        digest, path = hashlib.sha256(), self.path(sha256)
        try:
            with path.open("rb") as file:
                while piece := file.read(CHUNK):
                    digest.update(piece)
                    yield piece
        except FileNotFoundError:
            raise BackupError(f"{path}: missing; the backup is not whole, use another one") from None
        if digest.hexdigest() != sha256:
            raise BackupError(f"{path}: damaged; use another backup")

    def names(self) -> list[str]:
        """Return the names of all whole backups, oldest first."""
        return sorted(path.stem for path in (self.folder / BACKUPS).glob("*.json"))

    def read(self, name: str | None = None) -> Manifest:
        """Return the manifest of the backup `name`, the newest where it is None. Raises BackupError."""
        names = self.names()
        if not names:
            raise BackupError(f"{self.folder}: no backup in it; give the folder that 'backup' wrote to")
        if name is not None and name not in names:
            raise BackupError(f"{self.folder}: no backup {name!r}; there are {', '.join(names[-5:])}")
        path = self.folder / BACKUPS / f"{name or names[-1]}.json"
        if path.stat().st_size > MAX_MANIFEST:
            raise BackupError(f"{path}: more than {MAX_MANIFEST} bytes; this is no manifest")
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BackupError(f"{path}: damaged ({str(error)[:200]}); use another backup") from None
        if found.format != FORMAT:
            raise BackupError(f"{path}: of format {found.format}, this program reads {FORMAT}; use a newer one")
        return found

    def write(self, manifest: Manifest) -> None:
        """Make the backup count. Raises OSError."""
        write_atomic(self.folder / BACKUPS / f"{manifest.at}.json", msgspec.json.encode(manifest), 0o600)

    def prune(self, keep: int) -> int:
        """Delete all backups but the newest `keep`, and objects that none needs any more; return how many backups.

        Only while no backup is being made. Raises BackupError, OSError.
        """
        old = self.names()[:-keep]
        for name in old:
            (self.folder / BACKUPS / f"{name}.json").unlink()
        needed = {sha for name in self.names() for sha in objects(self.read(name))}
        for path in (self.folder / OBJECTS).glob("??/*"):
            if path.name not in needed:
                path.unlink()
        for path in (self.folder / OBJECTS).glob(".*.part"):
            path.unlink()
        return len(old)

    def verify(self, manifest: Manifest) -> int:
        """Read every object of `manifest` and return how many bytes they have. Raises BackupError."""
        return sum(len(piece) for sha in sorted(objects(manifest)) for piece in self.pieces(sha))


def objects(manifest: Manifest) -> set[str]:
    """Return the hashes of all objects that `manifest` needs."""
    rows = {sha for table in manifest.tables for sha in table.chunks}
    return rows | {kept.sha256 for kept in (*manifest.files, *manifest.blobs)}
