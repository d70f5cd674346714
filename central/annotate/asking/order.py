"""The order of the queue, thought over in the background: a job that is started when frames came or labels changed.

    the most valuable WINDOW frames that wait, as stored   -> Candidates
    the newest labelled frames; how often proposals were right, by class -> Pool
    a strategy of `central.learn.acquire` -> the first ORDERED of them; the others follow as they were
    the same values, dealt out in that order               -> `Frame.value`; the best question -> `FrameQuestion`

Only the order changes: the window keeps the values that its frames had, so that what arrives later, with the value that
its node gave it, finds its place among them, and a job that runs again on the same frames changes nothing. Frames of
the uniform audit keep their random places, which the estimates of field accuracy rest on. Nothing else is touched: a
frame that was answered meanwhile has left the queue.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.asking import Costs, Question
from central.annotate.asking.choose import Known, candidate, is_audit, options
from central.annotate.asking.costs import measured
from central.annotate.asking.store import done, pairs
from central.annotate.sources import RIGHT, tally
from central.learn.acquire import Pool, acquisition
from central.store import database as db
from central.store.models import Annotation, Frame, FrameQuestion, QuestionAnswer, Setting

FUNCTION: Final = "central.annotate.asking.order:run"
WINDOW: Final = 2000
"""Most valuable frames that are thought about: days of anybody's work, and a second of a computer's."""
ORDERED: Final = 120
"""Of them are put in order; by the time that they are answered, the job has run again."""
LABELLED: Final = 500
"""Newest labelled frames that others are compared with."""
CHUNK: Final = 250
"""Frames whose rows are read by one statement."""
WRITTEN: Final = 16
"""Frames written in one transaction: people write, too."""
GIVE_WAY_S: Final = 0.12
"""Seconds between two transactions: whoever waits for the database looks again within a tenth of one."""
STEP: Final = 1e-6
"""By which values differ at least, so that an order can be told from them."""
COSTS: Final = "question_costs"
"""Key of the measured costs among the settings of the database."""
FEW: Final = 10
"""Verdicts on a class below which it counts as half known."""
NONE: Final = "none"
"""The strategy that leaves frames in the order of their nodes' values."""


@dataclass(frozen=True)
class Waiting:
    """A frame that waits, with its unconfirmed proposals."""

    frame: Frame
    proposals: list[Annotation]


async def load(session: AsyncSession, limit: int = WINDOW) -> list[Waiting]:
    """Return the `limit` most valuable frames that wait, best first."""
    query = select(Frame).where(Frame.state == "pending").order_by(Frame.value.desc(), Frame.id.desc()).limit(limit)
    frames = list(await session.scalars(query))
    found: dict[str, list[Annotation]] = defaultdict(list)
    for start in range(0, len(frames), CHUNK):
        ids = [frame.id for frame in frames[start : start + CHUNK]]
        rows = select(Annotation).where(Annotation.frame.in_(ids), Annotation.confirmed.is_(False))
        for row in await session.scalars(rows):
            found[row.frame].append(row)
    return [Waiting(frame, found[frame.id]) for frame in frames]


def vectors(frames: Sequence[Frame], dimensions: int | None = None) -> tuple[NDArray[np.float32], int]:
    """Return the embeddings ``[N, D]`` of `frames` and D, which is `dimensions` or what most have; others are zeros."""
    read = [np.frombuffer(frame.embedding or b"", "<f4") for frame in frames]
    sizes = Counter(len(one) for one in read if len(one))
    size = dimensions or (sizes.most_common(1)[0][0] if sizes else 1)
    fitting = [one if len(one) == size else np.zeros(size, np.float32) for one in read]
    return np.stack(fitting).astype(np.float32) if fitting else np.zeros((0, size), np.float32), size


async def quality(session: AsyncSession, labels: Sequence[str]) -> NDArray[np.float32]:
    """Return how often proposals of each of `labels` were right ``[C]``, 0..1; a half where few were judged."""
    right: dict[str, int] = defaultdict(int)
    judged: dict[str, int] = defaultdict(int)
    for source in await tally(session):
        judged[source.label] += source.proposed
        right[source.label] += sum(source.outcomes.get(name, 0) for name in RIGHT)
    known = [right[label] / judged[label] if judged[label] >= FEW else 0.5 for label in labels]
    return np.array(known, np.float32)


async def pool(session: AsyncSession, waiting: Sequence[Waiting], labels: Sequence[str]) -> Pool:
    """Return what a strategy chooses from."""
    points, size = vectors([one.frame for one in waiting])
    answered = (Frame.state == "labelled", Frame.labelled_at.is_not(None))
    query = select(Frame).where(*answered).order_by(Frame.labelled_at.desc()).limit(LABELLED)
    past = list(await session.scalars(query))
    known, _ = vectors(past, size)
    return Pool(
        [candidate(one.frame, one.proposals, labels, points[n]) for n, one in enumerate(waiting)],
        [candidate(frame, [], labels, known[n]) for n, frame in enumerate(past)],
        await quality(session, labels),
    )


def deal(values: Sequence[float], order: Sequence[int]) -> list[float]:
    """Return the value of each frame: the highest of `values` (0..1) for the first of `order`, and so on; all differ.

    Values that differ already are only dealt out anew: doing it twice changes nothing.
    """
    highest = sorted(values, reverse=True)
    for place in range(1, len(highest)):
        highest[place] = min(highest[place], highest[place - 1] - STEP)
    dealt = [0.0] * len(values)
    for place, index in enumerate(order):
        dealt[index] = highest[place]
    return dealt


def arrange(found: Pool, values: Sequence[float], strategy: str, count: int = ORDERED) -> list[int]:
    """Return all of the pool's candidates: the `count` that `strategy` wants first, then the others by their `values`.

    Raises SlotError.
    """
    first = [] if strategy == NONE else acquisition(strategy).choose(found, min(count, len(found.candidates)))
    taken = set(first)
    rest = (i for i in range(len(values)) if i not in taken)
    return first + sorted(rest, key=lambda i: -values[i])


def ask(
    waiting: Sequence[Waiting], labels: Sequence[str], tags: Sequence[str], costs: Costs, answered: Any, open_pairs: Any
) -> dict[str, Question]:
    """Return the best question about each frame."""
    found = {}
    for one in waiting:
        frame = one.frame.id
        known = Known(labels, tags, costs, open_pairs.get(frame), answered.get(frame, ()))
        found[frame] = options(one.frame, one.proposals, known)[0]
    return found


async def _write(database: db.Database, values: Mapping[str, float], rows: Mapping[str, FrameQuestion]) -> None:
    """Store new values and questions, some frames at a time; those that were answered meanwhile are left alone."""
    ids = sorted({*values, *rows})
    for start in range(0, len(ids), WRITTEN):
        part = ids[start : start + WRITTEN]
        asked = [frame for frame in part if frame in rows]
        async with database.write() as session:
            query = select(Frame.id).where(Frame.id.in_(part), Frame.state == "pending")
            still = set(await session.scalars(query))
            await session.execute(delete(FrameQuestion).where(FrameQuestion.frame.in_(asked)))
            session.add_all(rows[frame] for frame in asked if frame in still)
            await session.flush()
            new = [{"id": frame, "value": values[frame]} for frame in part if frame in values and frame in still]
            if new:
                await session.execute(update(Frame), new)
        await asyncio.sleep(GIVE_WAY_S)


def _changed(question: Question, row: FrameQuestion | None, strategy: str) -> bool:
    """Whether `question` is another one than that in `row`."""
    if row is None:
        return True
    new = question.row(row.frame, strategy)
    return any(
        getattr(new, name) != getattr(row, name)
        for name in ("kind", "labels", "tag", "boxes", "pair", "seconds", "gain", "reason", "strategy")
    )


async def order(
    database: db.Database, labels: Sequence[str], tags: Sequence[str], strategy: str, window: int = WINDOW
) -> dict[str, Any]:
    """Put the queue in order and say what to ask. Return how many frames, how many changed, and questions by kind.

    Raises SlotError where there is no such strategy.
    """
    async with database.read() as session:
        waiting = await load(session, window)
        # In order of id, not of value: the same frames must make the same pool, whatever order they are in.
        free = sorted((one for one in waiting if not is_audit(one.frame)), key=lambda one: one.frame.id)
        found, costs = await pool(session, free, labels), await measured(session)
        ids = [one.frame.id for one in waiting]
        answered: dict[str, Any] = {}
        open_pairs: dict[str, Any] = {}
        old: dict[str, FrameQuestion] = {}
        for start in range(0, len(ids), CHUNK):
            part = ids[start : start + CHUNK]
            answered |= await done(session, part)
            open_pairs |= await pairs(session, part)
            rows = await session.scalars(select(FrameQuestion).where(FrameQuestion.frame.in_(part)))
            old |= {row.frame: row for row in rows}
    had = [one.frame.value for one in free]
    dealt = deal(had, await asyncio.to_thread(arrange, found, had, strategy))
    values = {one.frame.id: value for one, value in zip(free, dealt, strict=True) if value != one.frame.value}
    asked = ask(waiting, labels, tags, costs, answered, open_pairs)
    name = "" if strategy == NONE else strategy
    by = {one.frame.id: "" if is_audit(one.frame) else name for one in waiting}
    new = {
        frame: question.row(frame, by[frame])
        for frame, question in asked.items()
        if _changed(question, old.get(frame), by[frame])
    }
    await _write(database, values, new)
    async with database.write() as session:
        gone = exists().where(Frame.id == FrameQuestion.frame, Frame.state != "pending")
        await session.execute(delete(FrameQuestion).where(gone).execution_options(synchronize_session=False))
        await session.merge(Setting(key=COSTS, value=asdict(costs)))
    kinds = Counter(question.kind for question in asked.values())
    return {"frames": len(waiting), "changed": len({*new, *values}), "questions": dict(kinds), "strategy": strategy}


async def costs_now(session: AsyncSession) -> Costs:
    """Return what answers cost, as the last job measured it."""
    row = await session.get(Setting, COSTS)
    return Costs() if row is None else Costs(**row.value)


async def mark(session: AsyncSession) -> str:
    """Return a text that changes when frames arrived, labels changed, or single questions were answered."""
    columns = (Frame.received_at, Frame.labelled_at, QuestionAnswer.id)
    newest = (select(func.max(column)).where(column.is_not(None)) for column in columns)
    return " ".join([str(await session.scalar(query)) for query in newest])


def run(
    labels: list[str], tags: list[str], strategy: str, database_url: str, report: Callable[[Mapping[str, Any]], None]
) -> dict[str, Any]:
    """The job: put the queue in order by `strategy`."""

    async def work() -> dict[str, Any]:
        database = db.connect(database_url)
        try:
            return await order(database, labels, tags, strategy)
        finally:
            await database.close()

    return asyncio.run(work())
