"""The job that looks at a backlog: every waiting frame that a pack has not proposed on, however many there are.

    pass: the open frames, most valuable first -> `scoring`, here or on the cluster that this runs on -> `writing`
    until a pass leaves none open, or brings nothing

It is the database that says what is open. A job that is killed, wherever, is begun again and goes on where it was; a
batch whose actor died with its node is open still, and in the next pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from central.annotate.proposals import SOURCE, Proposer, wanting
from central.annotate.sources import curves
from central.jobs import Report, scoring
from central.jobs.scoring import Item, Seen, Sight
from central.jobs.writing import Writer
from central.store import database as db
from central.store.models import Frame
from edge.runtime.model import our_labels
from protocols.pack import Pack, archive, open_folder

FUNCTION: Final = "central.jobs.backlog:run"
SPAN: Final = 50_000
"""Frames of one pass: their ids and keys are in memory, some 10 MB."""
PASSES: Final = 50
"""Passes of one job that brought something: 2.5 million frames."""
IDLE_PASSES: Final = 3
"""Passes in a row without anything new after which it is given up: every worker dies, at once, again and again."""
Stream = Callable[[Sequence[Item], Sight], Iterator[list[Seen]]]


@dataclass
class Tally:
    """What was done so far."""

    total: int = 0
    written: int = 0
    boxes: int = 0
    passes: int = 0
    waited_s: float = 0.0
    """For what workers saw; in a plain loop, all that they do."""
    wrote_s: float = 0.0
    began: float = field(default_factory=time.monotonic)
    troubles: dict[str, str] = field(default_factory=dict)
    """Why a frame could not be looked at, by id."""

    def result(self) -> dict[str, Any]:
        """Return it as the result of the job."""
        seconds = time.monotonic() - self.began
        return {
            "frames": self.total, "changed": self.written, "boxes": self.boxes, "passes": self.passes,
            "unreadable": len(self.troubles), "troubles": sorted(set(self.troubles.values()))[:5],
            "waited_s": round(self.waited_s, 3), "wrote_s": round(self.wrote_s, 3),
            "seconds": round(seconds, 3), "per_s": round(self.written / seconds, 2) if seconds else 0.0,
        }  # fmt: skip


class BacklogError(RuntimeError):
    """A backlog that cannot be worked off. The text says why."""


async def open_frames(
    database: db.Database, pack: str, every: bool, limit: int, but: Collection[str] = ()
) -> list[Item]:
    """Return up to `limit` frames that wait for `pack`, most valuable first, `but` some."""
    query = select(Frame.id, Frame.blob).where(wanting(pack, every=every)).order_by(Frame.value.desc(), Frame.id)
    async with database.read() as session:
        found = [Item(row[0], row[1]) for row in await session.execute(query.limit(limit + len(but)))]
    return [item for item in found if item.id not in but][:limit]


async def work_off(
    database: db.Database,
    pack: Pack,
    labels: Collection[str],
    sight: Sight,
    stream: Stream,
    report: Report,
    every: bool = False,
    limit: int | None = None,
    make: Callable[..., Writer] = Writer,
) -> Tally:
    """Look at every open frame, at most `limit`, and write what was seen. Raises BacklogError."""
    async with database.read() as session:
        worth = await curves(session)
    by = Proposer(pack.address, SOURCE, our_labels(pack.manifest), see=_unused)
    writer, tally, idle = make(database, by, labels, worth), Tally(), 0
    most = float("inf") if limit is None else limit
    while tally.passes < PASSES:
        room = int(min(SPAN, most - tally.written - len(tally.troubles)))
        items = await open_frames(database, pack.address, every, room, tally.troubles) if room > 0 else []
        if not items:
            return tally
        tally.passes += 1
        tally.total = max(tally.total, tally.written + len(tally.troubles) + len(items))
        before = tally.written + len(tally.troubles)
        await _pass(stream(items, sight), writer, tally, report)
        idle = idle + 1 if tally.written + len(tally.troubles) == before else 0
        if idle >= IDLE_PASSES:
            raise BacklogError(f"{len(items)} frames stay open: {IDLE_PASSES} passes over them brought nothing")
    return tally


async def _pass(batches: Iterator[list[Seen]], writer: Writer, tally: Tally, report: Report) -> None:
    mark = time.monotonic()
    while (seen := await asyncio.to_thread(next, batches, None)) is not None:
        tally.waited_s += time.monotonic() - mark
        mark = time.monotonic()
        tally.troubles |= {one.id: one.trouble for one in seen if one.trouble}
        written, boxes = await writer.write([one for one in seen if not one.trouble])
        tally.written, tally.boxes = tally.written + written, tally.boxes + boxes
        tally.wrote_s += time.monotonic() - mark
        mark = time.monotonic()
        done = tally.written + len(tally.troubles)
        rate = done / max(1e-9, time.monotonic() - tally.began)
        report(
            {"progress": done / max(1, tally.total), "changed": tally.written,
             "detail": f"{done} of {tally.total} frames, {rate:.0f} per second"}
        )  # fmt: skip


def _unused(_image: Any) -> Any:
    raise NotImplementedError("what a scorer saw is written here; nothing is looked at")


def run(
    labels: list[str],
    pack: str,
    database_url: str,
    blob_url: str | None,
    blob_folder: str,
    report: Report,
    every: bool = False,
    limit: int | None = None,
    workers: int | None = None,
    closely: bool = True,
) -> dict[str, Any]:
    """Propose on every waiting frame with the pack in folder `pack`: on the cluster that this runs on, by `workers`
    actors (absent: one for each core), else in this process. Raises PackError, DatabaseError, BacklogError."""
    opened = open_folder(Path(pack))
    sight = Sight(archive(opened), blob_url, blob_folder, closely)
    cores = scoring.cluster_cores()

    def stream(items: Sequence[Item], sight: Sight) -> Iterator[list[Seen]]:
        return scoring.on_ray(items, sight, workers or cores) if cores else scoring.here(items, sight)

    async def work() -> dict[str, Any]:
        database = db.connect(database_url)
        try:
            tally = await work_off(database, opened, labels, sight, stream, report, every, limit)
        finally:
            await database.close()
        where = f"{workers or cores} workers of a cluster" if cores else "this machine"
        return tally.result() | {"where": where}

    return asyncio.run(work())
