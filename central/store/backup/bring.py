"""Bringing back: files into a folder beside the place, rows in one transaction, and only then the folder is there."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from sqlalchemy import Connection

from central.store import objects
from central.store.backup import BackupError, Kept, Manifest, rows
from central.store.backup.save import BLOBS, Told
from central.store.backup.vault import Vault
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.migrations import build, migrate
from protocols.files import sync_folder

LANES: Final = 8
"""Objects that are put at a time."""


@dataclass(frozen=True)
class Restored:
    """What was brought back."""

    name: str
    rows: int
    files: int
    size: int
    missing: int


def _safe(path: str) -> PurePosixPath:
    """Return `path`, which stays below where it is put. Raises BackupError."""
    found = PurePosixPath(path)
    if found.is_absolute() or ".." in found.parts or "\\" in path or "\0" in path or not found.parts:
        raise BackupError(f"the backup names a file {path[:80]!r}; it was not made by this program")
    return found


def _write(vault: Vault, kept: Kept, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        size = sum(file.write(piece) for piece in vault.pieces(kept.sha256))
        if size != kept.size:
            raise BackupError(f"{kept.path}: {size} bytes, the manifest says {kept.size}; use another backup")
        file.flush()
        os.fsync(file.fileno())
    target.chmod(kept.mode | 0o600)


def unused(folder: Path) -> None:
    """Raise BackupError where something is in `folder`."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise BackupError(f"{folder}: there is something in it; give a folder that is empty or not there yet")


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Yield a folder next to `folder` that takes its place when the block ends, and is gone where that fails."""
    unused(folder)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.restoring")
    shutil.rmtree(scratch, ignore_errors=True)  # of a restore that was killed
    scratch.mkdir(mode=0o700)
    try:
        yield scratch
        scratch.replace(folder)
        sync_folder(folder.parent)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EXDEV):
            raise BackupError(f"{folder}: a file system of its own; give a folder in it with --data") from None
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def files(vault: Vault, manifest: Manifest, data: Path, images: Path | None, told: Told) -> None:
    """Write the files of `manifest` below `data`, those of a folder of images below `images`; where that is None, the
    images wait for `blobs`. Raises BackupError."""
    for kept in manifest.files:
        path = _safe(kept.path)
        if path.parts[0] != BLOBS:
            _write(vault, kept, data.joinpath(*path.parts))
        elif images is not None:
            _write(vault, kept, images.joinpath(*path.parts[1:]))
        else:
            continue
        told(kept.path, kept.size)


async def blobs(vault: Vault, manifest: Manifest, store: Blobs, told: Told) -> None:
    """Bring images back that lay in an object store, or that go into one. Names stay: every key of a row means the same
    in a folder and in an object store. Raises BackupError, BlobError."""
    waiting = [(kept.path, kept) for kept in manifest.blobs]
    if store.root is None:
        mine = [(_safe(kept.path), kept) for kept in manifest.files]
        waiting += [("/".join(path.parts[1:]), kept) for path, kept in mine if path.parts[0] == BLOBS]
    for at in range(0, len(waiting), LANES):
        await asyncio.gather(*(_put(vault, store, name, kept) for name, kept in waiting[at : at + LANES]))
        for _, kept in waiting[at : at + LANES]:
            told(kept.path, kept.size)


async def _put(vault: Vault, store: Blobs, name: str, kept: Kept) -> None:
    if store.root is not None:
        await asyncio.to_thread(_write, vault, kept, store.root.joinpath(*_safe(name).parts))
    else:
        await objects.put(store, name, vault.pieces(kept.sha256), kept.size)


async def database(vault: Vault, manifest: Manifest, target: Database, told: Told) -> int:
    """Fill the empty database `target`, in one transaction, and bring it to this program's schema.

    Returns how many rows it got. Raises BackupError, DatabaseError.
    """

    def work(connection: Connection) -> int:
        if not rows.empty(connection):
            raise BackupError("the database has tables already; give an empty one")
        build(connection, manifest.revision)
        return rows.fill(connection, manifest.tables, vault.pieces, lambda name: told(name, 0))

    async with target.engine.execution_options(immediate=True).begin() as connection:
        count = await connection.run_sync(work)
    await migrate(target.engine)
    return count
