"""Questions in the database: those of some frames, and the one of a frame thought over anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.asking import Costs, Question
from central.annotate.asking.choose import Known, options
from central.store.models import BlurPair, Frame, FrameQuestion, QuestionAnswer

Done = Mapping[str, Sequence[tuple[str, dict[str, Any]]]]
"""Questions that were answered, by frame: kind, and what was asked with its `answer`."""


async def questions(session: AsyncSession, frames: Sequence[str]) -> dict[str, FrameQuestion]:
    """Return the question of each of `frames` that has one."""
    rows = await session.scalars(select(FrameQuestion).where(FrameQuestion.frame.in_(frames)))
    return {row.frame: row for row in rows}


async def done(session: AsyncSession, frames: Sequence[str]) -> Done:
    """Return what was answered about each of `frames`."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    query = select(QuestionAnswer.frame, QuestionAnswer.kind, QuestionAnswer.question, QuestionAnswer.answer)
    for frame, kind, asked, answer in await session.execute(query.where(QuestionAnswer.frame.in_(frames))):
        found[frame].append((kind, asked | {"answer": answer}))
    return found


async def pairs(session: AsyncSession, frames: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Return the most valuable pair that nobody answered of each of `frames` that has one: number and value."""
    query = select(BlurPair).where(BlurPair.answered == 0, or_(BlurPair.left.in_(frames), BlurPair.right.in_(frames)))
    found: dict[str, tuple[int, float]] = {}
    for row in await session.scalars(query.order_by(BlurPair.value)):
        found[row.left] = found[row.right] = (row.id, row.value)
    return found


async def renew(
    session: AsyncSession, frame: Frame, labels: Sequence[str], tags: Sequence[str], costs: Costs | None = None
) -> Question | None:
    """Store the best question about `frame` in the open write transaction; None where it waits no more."""
    await session.execute(
        delete(FrameQuestion).where(FrameQuestion.frame == frame.id).execution_options(synchronize_session=False)
    )
    if frame.state != "pending":
        return None
    answered = await done(session, [frame.id])
    open_pairs = await pairs(session, [frame.id])
    known = Known(labels, tags, costs or Costs(), open_pairs.get(frame.id), answered.get(frame.id, ()))
    best = options(frame, [a for a in frame.annotations if not a.confirmed], known)[0]
    session.add(best.row(frame.id))
    return best
