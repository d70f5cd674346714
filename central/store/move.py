"""Every image from one store into another, one verified batch at a time, while the centre works or does not.

    rows in order of id -> image from the source, checked by its hash -> target -> read back, checked again
        -> the row names the new place (where it still names the old one) -> only then the old one may go

A row names the old place or the new one, never neither, so a move that was ended at any point is begun again and goes
on. A frame that is deleted while its image is on the way leaves no copy.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from central.store import bundles, objects, segments, sweep
from central.store.blobs import BlobDamagedError, BlobMissingError, Blobs
from central.store.database import Database
from central.store.models import Frame
from protocols.messages import utc_now

PAGE: Final = 1000
"""Rows read at a time."""
LANES: Final = 8
"""Images read at a time."""
READS: Final = 2
"""Of an image that is not what it should be: it may have been the way."""
YOUNG_S: Final = 3600.0
"""What is younger than that is not deleted from where images are moved from: somebody may be storing there."""

Told = Callable[[str, int], None]
"""Is told what was looked at, and how many bytes more that is."""


@dataclass
class Moved:
    """What a move did."""

    moved: int = 0
    bytes: int = 0
    elsewhere: int = 0
    """Images that are not in the source: moved before, or stored in the target."""
    damaged: list[str] = field(default_factory=list)
    """Frames whose image is not what its hash says; they stay where they are."""
    freed: int | None = None
    """Bytes that the source was relieved of; None where nothing was to be deleted, or is somebody else's."""


@dataclass(frozen=True)
class _Item:
    frame: str
    key: str
    sha256: str
    size: int


def total(session: Session) -> int:
    """Return the bytes of all images."""
    return int(session.scalar(select(func.coalesce(func.sum(Frame.size_bytes), 0))) or 0)


def _name(key: str) -> str:
    place = segments.place(key)
    return key if place is None else place[0]


def _page(session: Session, after: str) -> list[_Item]:
    query = select(Frame.id, Frame.blob, Frame.sha256, Frame.size_bytes).where(Frame.id > after)
    return [_Item(*row) for row in session.execute(query.order_by(Frame.id).limit(PAGE))]


async def _checked(blobs: Blobs, key: str, sha256: str) -> bytes:
    """Return an image that is what its hash says, whatever kind of store it comes from. Raises BlobError."""
    for _ in range(READS):
        data = await blobs.read(key)
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    raise BlobDamagedError(f"blob {key}: not what was stored")


class _Move:
    def __init__(self, database: Database, source: Blobs, target: Blobs, told: Told) -> None:
        self.database, self.source, self.target, self.told = database, source, target, told
        self.done = Moved()
        self.last: list[tuple[str, str]] = []
        """Frame and new key of the batch before, looked at once more when the next one is through."""

    async def read(self, items: Sequence[_Item]) -> list[tuple[_Item, bytes]]:
        """Return those of `items` that are in the source, whole."""

        async def one(item: _Item) -> bytes | None:
            try:
                return await _checked(self.source, item.key, item.sha256)
            except BlobMissingError:
                self.done.elsewhere += 1  # deleted meanwhile
            except BlobDamagedError:
                self.done.damaged.append(item.frame)
            return None

        found: list[tuple[_Item, bytes]] = []
        for at in range(0, len(items), LANES):
            part = items[at : at + LANES]
            for item, data in zip(part, await asyncio.gather(*map(one, part)), strict=True):
                if data is not None:
                    found.append((item, data))
        return found

    async def batch(self, items: Sequence[_Item]) -> None:
        """Move `items`, all of which are in the source."""
        found = await self.read(items)
        if found:
            keys = await self.target.keep([(item.key, data) for item, data in found])
            try:
                for item, key in zip([item for item, _ in found], keys, strict=True):
                    await _checked(self.target, key, item.sha256)
                pairs = [(item, key) for (item, _), key in zip(found, keys, strict=True)]
                await self.database.run_write(lambda session: _point(session, pairs))
            finally:
                self.target.settle(keys)
            await self.look_again()
            self.last = [(item.frame, key) for item, key in pairs]
            await self.look_again()
            self.done.moved += len(found)
            self.done.bytes += sum(len(data) for _, data in found)
        for item in items:
            self.told(item.frame, item.size)

    async def look_again(self) -> None:
        """Delete the copies of frames that were deleted while they were on their way."""
        if not self.last:
            return
        frames = [frame for frame, _ in self.last]
        query = select(Frame.id, Frame.blob).where(Frame.id.in_(frames))
        there = await self.database.run_read(lambda session: {row.id: row.blob for row in session.execute(query)})
        await self.target.delete_all([key for frame, key in self.last if there.get(frame) != key])

    async def run(self) -> None:
        """Move everything."""
        names = {found.name async for found in objects.listed(self.source, sweep.FOLDER)}
        after, waiting, size = "", [], 0
        while page := await self.database.run_read(lambda session, after=after: _page(session, after)):  # type: ignore[misc]
            after = page[-1].frame
            for item in page:
                if _name(item.key) not in names:
                    self.done.elsewhere += 1
                    self.told(item.frame, item.size)
                    continue
                waiting.append(item)
                size += item.size
                if size >= bundles.MAX_BUNDLE:
                    await self.batch(waiting)
                    waiting, size = [], 0
        if waiting:
            await self.batch(waiting)
        await self.look_again()


def _point(session: Session, pairs: Sequence[tuple[_Item, str]]) -> None:
    """Let the rows name the new places, where they still name the old ones."""
    table = Frame.__table__
    statement = (
        update(Frame)
        .where(table.c.id == bindparam("frame"), table.c.blob == bindparam("old"))
        .values(blob=bindparam("new"))
    )
    values = [{"frame": item.frame, "old": item.key, "new": key} for item, key in pairs]
    session.connection().execute(statement, values)


async def _relieve(database: Database, source: Blobs, age_s: float) -> int | None:
    """Delete in the source what no row names any more and is old enough; return how many bytes that was."""
    swept = await sweep.sweep(database, source, age_s)
    if swept is None:
        return None
    before = (utc_now().timestamp() - age_s) * 1e9
    single = [
        found
        async for found in objects.listed(source, sweep.FOLDER)
        if not found.name.endswith(bundles.SUFFIX) and found.changed < before
    ]
    freed = swept.bytes
    for at in range(0, len(single), PAGE):
        part = {found.name: found.size for found in single[at : at + PAGE]}
        query = select(Frame.blob).where(Frame.blob.in_(list(part)))
        named = await database.run_read(lambda session, query=query: set(session.scalars(query)))  # type: ignore[misc]
        gone = sorted(set(part) - named)
        await source.delete_all(gone)
        freed += sum(part[name] for name in gone)
    return freed


async def move(
    database: Database, source: Blobs, target: Blobs, delete: bool, told: Told = lambda *_: None, age_s: float = YOUNG_S
) -> Moved:
    """Move every image that a row names from `source` to `target`; with `delete`, what the source has no row for then
    goes, unless an image was damaged. Raises BlobError, DatabaseError; what was moved by then is, and the rest is not.
    """
    work = _Move(database, source, target, told)
    await work.run()
    if delete and not work.done.damaged:
        work.done.freed = await _relieve(database, source, age_s)
    return work.done
