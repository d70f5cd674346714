"""The one writer of a backlog: what was seen becomes proposals, each frame once.

A batch is one transaction. A frame counts as done by the very column that says whose proposals stand on it, so that
what is delivered twice, as after an actor died, changes nothing the second time; what was not written is still open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, cast

from sqlalchemy import Table, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.boxes import LabelBox
from central.annotate.propagate import SOURCE as TRACK
from central.annotate.proposals import REPLACED, Proposer, boxes_of, replace, wanting
from central.annotate.sources import Curves, worth
from central.annotate.tag_proposals import put
from central.jobs.scoring import Seen
from central.store.bulk import Bulk
from central.store.database import Database
from central.store.models import Annotation, Frame
from protocols.messages import utc_now

_INSERT: Final = Bulk(cast(Table, Annotation.__table__), [
    "frame", "x1", "y1", "x2", "y2", "label", "source", "score", "confidence", "created",
])  # fmt: skip
Found = tuple[list[LabelBox], Mapping[str, float]]


class Writer:
    """Writes the proposals of `by`, of the labels `names`; `worth` says what its scores are worth."""

    def __init__(self, database: Database, by: Proposer, names: Collection[str], worth: Curves) -> None:
        self._database, self._by, self._names, self._worth = database, by, names, worth

    async def write(self, seen: Sequence[Seen]) -> tuple[int, int]:
        """Store what was seen and return how many frames were written, and boxes. Those that were written before, or
        that somebody answered meanwhile, are left alone."""
        async with self._database.write() as session:
            sizes = await self._open([one.id for one in seen], session)
            found = {
                one.id: (boxes_of(one.detections(), self._by.labels, self._names, *sizes[one.id]), one.tags)
                for one in seen
                if one.id in sizes
            }
            plain = await self._plain(session, list(found))
            boxes = await self._replace_all(session, {frame: found[frame] for frame in plain})
            for frame in found.keys() - plain:
                await replace(session, frame, self._by, *found[frame], self._worth)
                boxes += len(found[frame][0])
        return len(found), boxes

    async def _open(self, frames: Sequence[str], session: AsyncSession) -> dict[str, tuple[int, int]]:
        """Return width and height of those of `frames` that wait, and on which nothing of this pack stands."""
        still = wanting(self._by.name, every=True)
        query = select(Frame.id, Frame.width, Frame.height).where(Frame.id.in_(frames), still)
        return {row[0]: (row[1], row[2]) for row in await session.execute(query)}

    async def _plain(self, session: AsyncSession, frames: Sequence[str]) -> set[str]:
        """Return the frames on which no person decided anything, and to which nothing was followed."""
        followed = exists().where(Annotation.frame == Frame.id, Annotation.source == TRACK)
        query = select(Frame.id).where(Frame.id.in_(frames), Frame.revision == 0, ~followed)
        return set(await session.scalars(query))

    async def _replace_all(self, session: AsyncSession, found: Mapping[str, Found]) -> int:
        """Do for many plain frames at once what `proposals.replace` does for one."""
        if not found:
            return 0
        lost = update(Frame).where(Frame.id.in_(found)).values(proposed_by=self._by.name)
        await session.execute(lost.execution_options(synchronize_session=False))
        machine = Annotation.source.in_((*REPLACED, self._by.source))
        old = delete(Annotation).where(Annotation.frame.in_(found), Annotation.confirmed.is_(False), machine)
        await session.execute(old.execution_options(synchronize_session=False))
        await put(session, self._by.source, {frame: tags for frame, (_, tags) in found.items() if tags}, self._worth)
        now, by = utc_now(), self._by.source
        rows = [
            {"frame": frame, "x1": b.box[0], "y1": b.box[1], "x2": b.box[2], "y2": b.box[3], "label": b.label,
             "source": by, "score": b.score, "confidence": worth(self._worth, by, b.label, b.score), "created": now}
            for frame, (boxes, _) in found.items()
            for b in boxes
        ]  # fmt: skip
        await _INSERT.run_in(session, rows)
        return len(rows)
