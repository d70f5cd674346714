"""Bytes of segments that no row refers to, given back to the disk.

    a kill between image and row, a commit that failed      an end, or a gap, that nobody refers to
    an image that was deleted                                zeros

    old and unlocked segments -> the places that rows name in them -> cut off, punched out, or deleted whole

What is safe: a segment is only looked at a day after it was last written, and when nobody holds its lock, so every key
of it was settled or its writer is dead (see `segments`); a name is never written to again. Only then rows are read, so
no row can come later for what is given back. And nothing is given back in a folder that another database fills: folder
and database hold the same mark (`OWNER`).
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import secrets
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.store import segments
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import Frame, Setting
from protocols.files import write_atomic
from protocols.messages import utc_now

log = structlog.get_logger("central.store")

AGE_S: Final = 24 * 3600.0
"""Since a segment was last written; far beyond any commit, and any usual step of a clock."""
EVERY_S: Final = 24 * 3600.0
FIRST_S: Final = 120.0
"""After the start, when all nodes have come back."""
PAGE: Final = 5000
"""Rows read at a time, so that nobody waits for this."""
PAUSE_S: Final = 0.02
"""Between them."""
BLOCK: Final = 4096
"""Bytes; smaller gaps have no block of their own."""
OWNER: Final = "owner"
"""Name of the file in the folder of the images; the same text stands in the database."""
_KEY: Final = "blobs.owner"
_PUNCH: Final = 0x01 | 0x02
"""FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE."""

Places = dict[str, "array[int]"]
"""By segment: first byte and end of each image that a row refers to, one after the other."""


@dataclass(frozen=True)
class Swept:
    """How many segments were looked at, how many of them are gone, and how many bytes came back."""

    segments: int
    deleted: int
    bytes: int


async def sweep(database: Database, blobs: Blobs, age_s: float = AGE_S) -> Swept | None:
    """Give back what no row refers to in segments that are `age_s` seconds old; None where the images are not on a disk
    of ours, or belong to another database. Raises OSError or an error of the database."""
    root = blobs.root
    if root is None or not await _ours(database, root):
        return None
    places = await asyncio.to_thread(_candidates, root, utc_now().timestamp() - age_s)
    if not places:
        return Swept(0, 0, 0)
    await _read(database, places)
    return await asyncio.to_thread(_give_back, root, places)


async def keep_swept(database: Database, blobs: Blobs) -> None:
    """Mark the folder as this database's, then sweep: soon after the start, and once a day, until cancelled."""
    root = blobs.root
    if root is None or not await _ours(database, root):
        await asyncio.Event().wait()  # nothing to do, ever
        return
    await asyncio.sleep(FIRST_S)
    while True:
        swept = await sweep(database, blobs)
        if swept is not None and swept.bytes:
            log.info("gave back what no frame refers to", bytes=swept.bytes, deleted=swept.deleted)
        await asyncio.sleep(EVERY_S)


async def _ours(database: Database, root: Path) -> bool:
    """Whether the folder belongs to this database; where it belongs to none, it does from now on."""
    path = root / OWNER
    there = path.read_text().strip() if path.exists() else None
    async with database.write() as session:
        mark = await _mark(session, there is None, root)
    if mark is not None and there is None:  # after the commit: a mark of the folder alone would be a foreign one
        write_atomic(path, f"{mark}\n".encode())
        there = mark
    if mark is None or mark != there:
        log.warning("the images belong to another database; nothing is given back", folder=str(root))
    return mark is not None and mark == there


async def _mark(session: AsyncSession, free: bool, root: Path) -> str | None:
    """Return the mark of this database; draws one where the folder is `free` and not full of somebody's images."""
    held = await session.get(Setting, _KEY)
    if held is not None:
        return str(held.value)
    known = (await session.scalars(select(Frame.id).limit(1))).first() is not None
    if not free or (not known and next(_files(root), None) is not None):
        return None
    session.add(Setting(key=_KEY, value=secrets.token_hex(16)))
    await session.flush()
    made = await session.get(Setting, _KEY)
    return None if made is None else str(made.value)


def _files(root: Path) -> Iterator[Path]:
    return root.glob("frames/*/*.seg")


def _candidates(root: Path, before: float) -> Places:
    return {
        path.relative_to(root).as_posix(): array("q")
        for path in _files(root)
        if path.stat().st_mtime < before and _unlocked(path)
    }


def _unlocked(path: Path) -> bool:
    """Whether nobody writes this segment any more, or owes it a row; as names are never used again, for ever."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


async def _read(database: Database, places: Places) -> None:
    """Note in `places` what rows refer to."""
    last = ""
    while True:
        query = select(Frame.id, Frame.blob).where(Frame.id > last).order_by(Frame.id).limit(PAGE)
        rows = await database.run_read(lambda session, query=query: list(session.execute(query)))  # type: ignore[misc]
        for row in rows:
            found = segments.place(row.blob)
            if found is not None and found[0] in places:
                places[found[0]].extend((found[1], found[1] + found[2]))
        if len(rows) < PAGE:
            return
        last = rows[-1].id
        await asyncio.sleep(PAUSE_S)


def _give_back(root: Path, places: Places) -> Swept:
    deleted = freed = 0
    for name, ends in places.items():
        path = root / name
        before = path.stat().st_blocks
        if not ends:
            path.unlink()
            deleted, freed = deleted + 1, freed + 512 * before
            continue
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            _clear(handle, sorted(zip(ends[::2], ends[1::2], strict=True)), before)
            freed += 512 * max(0, before - os.fstat(handle).st_blocks)
        finally:
            os.close(handle)
    return Swept(len(places), deleted, freed)


def _clear(handle: int, kept: list[tuple[int, int]], blocks: int) -> None:
    """Cut off what is behind the last of `kept`, and punch out what is between them."""
    end = max(end for _, end in kept)
    if os.fstat(handle).st_size > end:
        os.ftruncate(handle, end)
    gaps = list(_gaps(kept))
    if 512 * blocks > sum(end - first for first, end in kept) + BLOCK * (len(gaps) + 2):
        for first, length in gaps:
            _punch(handle, first, length)


def _gaps(kept: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield first byte and length of each gap of whole blocks between sorted places, which may overlap."""
    at = 0
    for (_, end), (first, _) in pairwise([(0, 0), *kept]):
        at = max(at, end)
        begin, stop = -(-at // BLOCK) * BLOCK, first // BLOCK * BLOCK
        if stop > begin:
            yield begin, stop - begin


def _punch(handle: int, first: int, length: int) -> None:
    """Give blocks back to the file system and leave zeros; where that is not known, they stay."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fallocate(handle, _PUNCH, ctypes.c_int64(first), ctypes.c_int64(length))
