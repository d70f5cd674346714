"""Bytes of segments that no row refers to, given back to the disk.

    a kill between image and row, a commit that failed      an end, or a gap, that nobody refers to
    an image that was deleted                                zeros

    old and unlocked segments -> the places that rows name in them -> cut off, punched out, or deleted whole

    on S3: old bundles -> the names that rows give -> deleted whole

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
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.store import bundles, segments
from central.store.blobs import BlobAwayError, BlobMissingError, Blobs
from central.store.database import Database
from central.store.models import Frame, Setting
from protocols.messages import utc_now

log = structlog.get_logger("central.store")

AGE_S: Final = 24 * 3600.0
"""Since a segment was last written; far beyond any commit, and any usual step of a clock."""
EVERY_S: Final = 24 * 3600.0
AWAY_S: Final = 30.0
"""Before a store that is away is asked again whose it is."""
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
FOLDER: Final = "frames"
"""Below which the images of nodes lie."""
DELETED: Final = 500
"""Objects of one request that deletes; S3 takes a thousand."""
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
    if not await _ours(database, blobs):
        return None
    if root is None:
        return await _sweep_objects(database, blobs.store, utc_now() - timedelta(seconds=age_s))
    places = await asyncio.to_thread(_candidates, root, utc_now().timestamp() - age_s)
    if not places:
        return Swept(0, 0, 0)
    await _read(database, places)
    return await asyncio.to_thread(_give_back, root, places)


async def keep_swept(database: Database, blobs: Blobs) -> None:
    """Mark the folder as this database's, then sweep: soon after the start, and once a day, until cancelled."""
    while True:
        try:
            if not await _ours(database, blobs):
                await asyncio.Event().wait()  # nothing to do, ever
            break
        except BlobAwayError:
            await asyncio.sleep(AWAY_S)
    await asyncio.sleep(FIRST_S)
    while True:
        try:
            swept = await sweep(database, blobs)
        except (BlobAwayError, BaseError) as error:
            log.warning("could not look for what no frame refers to", reason=str(error)[:200])
            swept = None
        if swept is not None and swept.bytes:
            log.info("gave back what no frame refers to", bytes=swept.bytes, deleted=swept.deleted)
        await asyncio.sleep(EVERY_S)


async def _ours(database: Database, blobs: Blobs) -> bool:
    """Whether the place belongs to this database; where it belongs to none, it does from now on."""
    if blobs.root is None and blobs.remote is None:
        return False  # memory
    try:
        there: str | None = (await blobs.read(OWNER)).decode(errors="replace").strip()
    except BlobMissingError:
        there = None
    used = there is None and await _used(blobs)
    async with database.write() as session:
        mark = await _mark(session, there is None, used)
    if mark is not None and there is None:  # after the commit: a mark of the place alone would be a foreign one
        await blobs.put([(OWNER, f"{mark}\n".encode())])
        there = mark
    if mark is None or mark != there:
        where = blobs.root if blobs.remote is None else blobs.remote.name
        log.warning("the images belong to another database; nothing is given back", place=str(where))
    return mark is not None and mark == there


async def _used(blobs: Blobs) -> bool:
    """Whether there is an image of a node already."""
    if blobs.root is not None:
        return next(_files(blobs.root), None) is not None
    async for page in obstore.list(blobs.store, FOLDER):
        return bool(page)
    return False


async def _mark(session: AsyncSession, free: bool, used: bool) -> str | None:
    """Return the mark of this database; draws one where the place is `free` and not full of somebody's images."""
    held = await session.get(Setting, _KEY)
    if held is not None:
        return str(held.value)
    known = (await session.scalars(select(Frame.id).limit(1))).first() is not None
    if not free or (not known and used):
        return None
    session.add(Setting(key=_KEY, value=secrets.token_hex(16)))
    await session.flush()
    made = await session.get(Setting, _KEY)
    return None if made is None else str(made.value)


async def _sweep_objects(database: Database, store: ObjectStore, before: datetime) -> Swept:
    """Delete the bundles written before `before` that no row refers to. Images in a bundle that lives are zeros already
    where they were deleted; what else nobody refers to in it stays."""
    sizes = {
        each["path"]: each["size"]
        async for page in obstore.list(store, FOLDER)
        for each in page
        if each["path"].endswith(bundles.SUFFIX) and each["last_modified"] < before
    }
    places: Places = {name: array("q") for name in sizes}
    if places:
        await _read(database, places)
    gone = [name for name, ends in places.items() if not ends]
    for at in range(0, len(gone), DELETED):
        await obstore.delete_async(store, gone[at : at + DELETED])
    return Swept(len(places), len(gone), sum(sizes[name] for name in gone))


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
