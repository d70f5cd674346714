"""Saving: rows first, then the files and images that they name, which by then are all there."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from central.store import objects, segments
from central.store.backup import FORMAT, BackupError, Kept, Manifest, Table, rows
from central.store.backup.vault import Vault
from central.store.blobs import BlobMissingError, Blobs
from central.store.database import Database
from central.store.migrations import current
from central.store.models import Frame
from edge import __version__

BLOBS: Final = "blobs"
"""Where a local folder of images is put in a backup, wherever it lies."""
DATABASE: Final = "central.db"
_TRANSIENT: Final = (".part", ".lock", ".sock", ".pid", "-wal", "-shm", "-journal")
_NAMED_LOCK: Final = "lock"

Told = Callable[[str, int], None]
"""Is told what is being saved, and how many bytes were looked at more."""


@dataclass(frozen=True)
class Saved:
    """A backup that was made: how much it holds, and how much of that was new."""

    name: str
    rows: int
    files: int
    size: int
    written: int
    missing: int


def _walk(root: Path, prefix: str, skip: frozenset[Path]) -> Iterator[tuple[str, Path]]:
    """Yield name and place of every regular file below `root`, but links and what only a running program needs."""
    for path in sorted(root.iterdir()):
        if path in skip or path.is_symlink() or path.name == _NAMED_LOCK or path.name.endswith(_TRANSIENT):
            continue
        name = f"{prefix}{path.name}"
        if path.is_dir():
            yield from _walk(path, f"{name}/", skip)
        elif path.is_file():
            yield name, path


def _files(data: Path, blobs: Blobs, vault: Vault) -> Iterator[tuple[str, Path]]:
    skip = {data / DATABASE, vault.folder.absolute()}
    if blobs.root is not None:
        skip.add(blobs.root)
        yield from _walk(blobs.root, f"{BLOBS}/", frozenset(skip - {blobs.root}))
    yield from _walk(data, "", frozenset(skip))


class _Known:
    """What the newest backup has: a file of the same size and time is not read again."""

    def __init__(self, vault: Vault) -> None:
        last = vault.read() if vault.names() else None
        self.files = {kept.path: kept for kept in last.files} if last else {}
        self.blobs = {kept.path: kept for kept in last.blobs} if last else {}

    def same(self, name: str, size: int, changed: int) -> Kept | None:
        kept = self.files.get(name)
        return kept if kept is not None and (kept.size, kept.changed) == (size, changed) else None


class _Saving:
    def __init__(self, vault: Vault, told: Told) -> None:
        self.vault, self.told = vault, told
        self.known = _Known(vault)

    def file(self, name: str, path: Path) -> Kept | None:
        """Keep one file as it is now; None where it went away meanwhile."""
        try:
            about = path.stat()
            kept = self.known.same(name, about.st_size, about.st_mtime_ns)
            if kept is None:
                sha256, size = self.vault.keep_file(path)
                mode = stat.S_IMODE(about.st_mode) & 0o777
                kept = Kept(path=name, sha256=sha256, size=size, changed=about.st_mtime_ns, mode=mode)
        except FileNotFoundError:
            return None
        self.told(name, kept.size)
        return kept

    def blob(self, blobs: Blobs, found: objects.Object) -> Kept | None:
        """Keep one object of a store of images; None where it went away meanwhile."""
        kept = self.known.blobs.get(found.name)
        if kept is None or (kept.size, kept.changed) != (found.size, found.changed):
            try:
                sha256, size = self.vault.keep(objects.read(blobs, found.name))
            except BlobMissingError:
                return None
            kept = Kept(path=found.name, sha256=sha256, size=size, changed=found.changed)
        self.told(found.name, kept.size)
        return kept


def _view(session: Session, saving: _Saving) -> tuple[list[Table], str, list[str]]:
    """Return tables, revision and keys of images, all of one view."""
    tables = rows.dump(session, saving.vault.keep, lambda name: saving.told(name, 0))
    revision = current(session.connection())
    if revision is None:
        raise BackupError("database: it has no schema; start the centre once")
    return tables, revision, list(session.scalars(select(Frame.blob)))


def _lost(keys: list[str], kept: Iterable[tuple[str, int]]) -> int:
    """Return how many of `keys` are not wholly in what was `kept`, given by name and size."""
    sizes = dict(kept)
    lost = 0
    for key in keys:
        place = segments.place(key)
        name, end = (key, 0) if place is None else (place[0], place[1] + place[2])
        lost += sizes.get(name, -1) < end
    return lost


async def _images(saving: _Saving, blobs: Blobs, keys: list[str]) -> list[Kept]:
    """Keep what `keys` name in a store of images."""
    needed = {place[0] if (place := segments.place(key)) else key for key in keys}
    there = [found async for found in objects.listed(blobs) if found.name in needed]
    kept = [await asyncio.to_thread(saving.blob, blobs, found) for found in there]
    return [each for each in kept if each is not None]


async def save(data: Path, database: Database, blobs: Blobs, vault: Vault, told: Told = lambda *_: None) -> Saved:
    """Save what is in the folder `data`, `database` and `blobs`, which may be in use meanwhile.

    Raises BackupError, BlobError, OSError; there is no backup then, and those before it are as they were.
    """
    vault.begin()
    before = vault.written
    saving, name = _Saving(vault, told), rows.now()
    tables, revision, keys = await database.run_read(lambda session: _view(session, saving))
    files = [kept for item in _files(data.absolute(), blobs, vault) if (kept := saving.file(*item)) is not None]
    images = await _images(saving, blobs, keys) if blobs.root is None else []
    local = [kept for kept in files if kept.path.startswith(f"{BLOBS}/")] if blobs.root or blobs.remote else []
    held = [(kept.path.removeprefix(f"{BLOBS}/"), kept.size) for kept in local]
    missing = _lost(keys, held + [(kept.path, kept.size) for kept in images])
    made = Manifest(
        format=FORMAT, at=name, version=__version__, revision=revision, database=database.engine.dialect.name,
        tables=tuple(tables), files=tuple(files), blobs=tuple(images), missing=missing,
    )  # fmt: skip
    vault.write(made)
    size = sum(kept.size for kept in (*files, *images))
    count = sum(table.rows for table in tables)
    return Saved(name, count, len(files) + len(images), size, vault.written - before, missing)
