"""Whether what a log says was deleted is gone: from rows and all that refers to them, images, segments, copies, index.

A segment may hold an image that no row refers to: a second copy of one that was delivered twice, until the sweep. So
everything in segments that is not zeros and not an image that a row names is looked through, too.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, String, column, inspect, select, table
from sqlalchemy.orm import Session

from central.store import segments
from central.store.blobs import BlobMissingError, Blobs
from central.store.database import Database
from central.store.models import AuditEntry, Camera, Frame
from central.store.retention import record
from central.store.retention.away import digest, entry
from central.store.retention.record import Item
from central.store.search import FrameIndex

PART: Final = 500
"""Items looked for at a time."""
CHUNK: Final = 1 << 20
START: Final = b"\xff\xd8\xff"
"""How an image begins: JPEG."""
LEFT_OUT: Final = ("blobs", "broker", "keys", "trust", "packs", "deltas")
"""Folders of the data folder without copies of images; images themselves are looked at otherwise."""


@dataclass
class Found:
    """What was looked at, and what is still there: one line each."""

    items: int = 0
    images: int = 0
    files: int = 0
    segments: int = 0
    left: list[str] = field(default_factory=list)


References = list[tuple[str, str]]
"""Tables and their columns that refer to a frame."""


def _references(session: Session) -> References:
    """Return every column of every table of the database that refers to a frame, also of tables that are no part of
    the schema (`central.store.vectors`)."""
    known = inspect(session.connection())
    return [
        (name, key["constrained_columns"][0])
        for name in sorted(known.get_table_names())
        for key in known.get_foreign_keys(name)
        if key["referred_table"] == "frame" and key["referred_columns"] == ["id"]
    ]


def _in_rows(session: Session, items: Sequence[Item], references: References, found: Found) -> None:
    frames = {item.item: item.sha256 for item in items if item.kind == "frame"}
    ids = list(frames)
    for frame in session.scalars(select(Frame.id).where(Frame.id.in_(ids))):
        found.left.append(f"frame {frame}: its row is there")
    same = select(Frame.id, Frame.sha256).where(Frame.sha256.in_(set(frames.values())), Frame.id.not_in(ids))
    for frame, sha256 in session.execute(same):
        found.left.append(f"image {sha256}: frame {frame}, which was not deleted, is the same image")
    for name, key in references:
        own: ColumnElement[str] = column(key, String)
        for frame in session.scalars(select(own).select_from(table(name)).where(own.in_(ids)).distinct()):
            found.left.append(f"frame {frame}: {name}.{key} refers to it")
    for camera in session.scalars(select(Camera).where(Camera.last_frame_id.in_(ids))):
        found.left.append(f"frame {camera.last_frame_id}: it is the picture of camera {camera.node}/{camera.name}")
    entries = {int(item.item): item.sha256 for item in items if item.kind == "audit" and item.item.isdigit()}
    for row in session.scalars(select(AuditEntry).where(AuditEntry.id.in_(entries))):
        if digest(entry(row)) == entries[row.id]:  # SQLite gives the highest number again
            found.left.append(f"entry {row.id} of the audit log is there")


async def _in_blobs(blobs: Blobs, items: Iterable[Item], found: Found) -> None:
    for item in items:
        if item.kind != "frame" or not item.blob:
            continue
        found.images += 1
        try:
            data = await blobs.read(item.blob)
        except BlobMissingError:
            continue
        same = hashlib.sha256(data).hexdigest() == item.sha256
        found.left.append(f"frame {item.item}: {'its image' if same else 'something'} is at {item.blob}")


def _live(session: Session) -> dict[str, array[int]]:
    """Return first byte and end of each image that a row names, by segment."""
    places: dict[str, array[int]] = defaultdict(lambda: array("q"))
    for key in session.scalars(select(Frame.blob).execution_options(yield_per=5000)):
        place = segments.place(key)
        if place is not None:
            places[place[0]].extend((place[1], place[1] + place[2]))
    return places


def _gaps(ends: array[int], size: int) -> Iterator[tuple[int, int]]:
    at = 0
    for first, end in sorted(zip(ends[::2], ends[1::2], strict=True)):
        if first > at:
            yield at, first
        at = max(at, end)
    if size > at:
        yield at, size


def _images(data: bytes) -> Iterator[bytes]:
    """Yield what may be an image in `data`: from each beginning to the next one or the end, zeros cut off."""
    at = [0]
    while (place := data.find(START, at[-1] + 1)) >= 0:
        at.append(place)
    for first, end in pairwise([*at, len(data)]):
        piece = data[first:end].lstrip(b"\0") if first == 0 else data[first:end]
        if piece:
            yield piece


def _matches(piece: bytes, sizes: set[int]) -> Iterator[bytes]:
    """Yield `piece`, whole and without zeros behind it, and what images of `sizes` it may begin with that end there."""
    bare = len(piece.rstrip(b"\0"))
    for size in {len(piece), *(s for s in sizes if bare <= s <= len(piece))}:
        if size in sizes:
            yield piece[:size]


def _in_segments(
    root: Path, live: dict[str, array[int]], wanted: dict[str, str], sizes: set[int], found: Found
) -> None:
    for path in sorted(root.glob("frames/*/*.seg")):
        found.segments += 1
        name = path.relative_to(root).as_posix()
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for first, end in _gaps(live.get(name, array("q")), os.fstat(handle).st_size):
                data = os.pread(handle, end - first, first)
                if not data.strip(b"\0"):
                    continue
                for piece in _images(data):
                    for part in _matches(piece, sizes):
                        frame = wanted.get(hashlib.sha256(part).hexdigest())
                        if frame is not None:
                            found.left.append(f"frame {frame}: a copy of its image is in {name}; the sweep takes it")
        finally:
            os.close(handle)


def _in_files(data: Path, skip: Path | None, wanted: dict[str, str], sizes: set[int], found: Found) -> None:
    """Look through files of the data folder: by name, and by content where the size is that of a deleted image."""
    ids = set(wanted.values())
    for folder, names, files in os.walk(data):
        at = Path(folder)
        names[:] = [n for n in names if (at != data or n not in LEFT_OUT) and at / n != skip]
        for name in files:
            path = at / name
            found.files += 1
            if path.stem in ids:
                found.left.append(f"frame {path.stem}: the file {path} is named by it")
            elif path.is_file() and path.stat().st_size in sizes:
                with path.open("rb") as file:
                    frame = wanted.get(hashlib.file_digest(file, "sha256").hexdigest())
                if frame is not None:
                    found.left.append(f"frame {frame}: the file {path} is its image")


def _in_index(session: Session, ids: set[str], found: Found) -> None:
    index = FrameIndex()
    index.refresh(session)
    found.left += [f"frame {frame}: the search finds it" for frame in sorted(ids) if frame in index]


def _parts(path: Path) -> Iterator[list[Item]]:
    part: list[Item] = []
    for each in record.read(path):
        if isinstance(each, Item):
            part.append(each)
        if len(part) >= PART:
            yield part
            part = []
    if part:
        yield part


async def look(database: Database, blobs: Blobs, data: Path, path: Path) -> Found:
    """Look for everything that the log at `path` says was deleted. Raises RetentionError, BlobError, OSError."""
    found, wanted, sizes = Found(), dict[str, str](), set[int]()
    references = await database.run_read(_references)
    for part in _parts(path):
        found.items += len(part)
        wanted.update({item.sha256: item.item for item in part if item.kind == "frame"})
        sizes.update(item.bytes for item in part if item.kind == "frame")
        await database.run_read(lambda session, part=part: _in_rows(session, part, references, found))  # type: ignore[misc]
        await _in_blobs(blobs, part, found)
    root = blobs.root
    if root is not None and wanted:
        live = await database.run_read(_live)
        await asyncio.to_thread(_in_segments, root, live, wanted, sizes, found)
    await asyncio.to_thread(_in_files, data, root, wanted, sizes, found)
    await database.run_read(lambda session: _in_index(session, set(wanted.values()), found))
    return found
