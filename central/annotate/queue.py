"""Which frame is asked next, and answering it.

Every answer names the revision of the frame that it was given for. The revision is compared and set by one UPDATE in
the transaction that stores the answer, so of two people who looked at the same frame one is told of the other's
answer, and no acknowledged answer is ever overwritten unseen. Each answer is also kept as a row of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from central.annotate.boxes import LabelBox, check, check_labels
from central.store.models import Annotation, Frame, LabelRevision
from protocols.messages import utc_now


class FrameMissingError(LookupError):
    """A frame that does not exist."""


class ConflictError(Exception):
    """Somebody else answered first; `frame` is what they left."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(f"frame {frame.id} is at revision {frame.revision}")
        self.frame = frame


@dataclass(frozen=True)
class Answer:
    """What somebody says about a frame, having seen it at `revision`. `source` is ``person`` or a machine's name."""

    frame: str
    revision: int
    author: str
    boxes: Sequence[LabelBox] = ()
    complete_for: Sequence[str] = ()
    source: str = "person"


async def load(session: AsyncSession, frame: str) -> Frame:
    """Return the frame with its annotations. Raises FrameMissingError."""
    found = await session.scalar(
        select(Frame)
        .where(Frame.id == frame)
        .options(selectinload(Frame.annotations))
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise FrameMissingError(frame)
    return found


async def waiting(session: AsyncSession, limit: int) -> list[Frame]:
    """Return the `limit` most valuable frames that nobody answered, best first."""
    query = select(Frame).where(Frame.state == "pending").order_by(Frame.value.desc(), Frame.id.desc()).limit(limit)
    return list(await session.scalars(query.options(selectinload(Frame.annotations))))


async def pending(session: AsyncSession) -> int:
    """Return how many frames wait."""
    return int(await session.scalar(select(func.count()).select_from(Frame).where(Frame.state == "pending")) or 0)


async def page(
    session: AsyncSession, node: str | None, camera: str | None, state: str | None, before: str | None, limit: int
) -> list[Frame]:
    """Return up to `limit` frames older than `before` (a frame id), newest first."""
    query = select(Frame).order_by(Frame.id.desc()).limit(limit).options(selectinload(Frame.annotations))
    for column, value in ((Frame.node, node), (Frame.camera, camera), (Frame.state, state)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(Frame.id < before)
    return list(await session.scalars(query))


async def history(session: AsyncSession, frame: str) -> list[LabelRevision]:
    """Return every answer about `frame`, oldest first."""
    query = select(LabelRevision).where(LabelRevision.frame == frame).order_by(LabelRevision.revision)
    return list(await session.scalars(query))


async def _take_turn(session: AsyncSession, answer: Answer, state: Literal["labelled", "skipped"]) -> int:
    """Move the frame from the answer's revision to the next, returned. Raises FrameMissingError, ConflictError."""
    result = await session.execute(
        update(Frame)
        .where(Frame.id == answer.frame, Frame.revision == answer.revision)
        .values(revision=answer.revision + 1, state=state, labelled_at=utc_now(), labelled_by=answer.author)
        .execution_options(synchronize_session=False)
        .returning(Frame.id)
    )
    if result.first() is None:
        current = await load(session, answer.frame)
        session.expunge_all()  # what is shown must outlive the transaction, which is rolled back
        raise ConflictError(current)
    return answer.revision + 1


def _remember(session: AsyncSession, answer: Answer, revision: int, state: str, boxes: Sequence[LabelBox]) -> None:
    session.add(
        LabelRevision(
            frame=answer.frame,
            revision=revision,
            author=answer.author,
            at=utc_now(),
            state=state,
            boxes=[{"box": list(b.box), "label": b.label} for b in boxes],
            complete_for=list(answer.complete_for),
        )
    )


async def label(session: AsyncSession, answer: Answer, known: Collection[str]) -> Frame:
    """Store `answer` in the open write transaction and return the frame as it is then.

    The answer's boxes replace all boxes of the frame, proposals included; what the node proposed stays in
    `Frame.detections`. Raises LabelError, FrameMissingError, ConflictError; after any of them nothing is stored.
    """
    frame = await load(session, answer.frame)
    boxes = check(answer.boxes, frame.width, frame.height, known)
    check_labels(answer.complete_for, known)
    revision = await _take_turn(session, answer, "labelled")
    await session.execute(delete(Annotation).where(Annotation.frame == answer.frame))
    await session.execute(
        update(Frame)
        .where(Frame.id == answer.frame)
        .values(complete_for=sorted(set(answer.complete_for)))
        .execution_options(synchronize_session=False)
    )
    for given in boxes:
        x1, y1, x2, y2 = given.box
        session.add(
            Annotation(
                frame=answer.frame,
                x1=x1,
                y1=y1,
                x2=x2,
                y2=y2,
                label=given.label,
                source=answer.source,
                score=given.score,
                confirmed=True,
                revision=revision,
                author=answer.author,
            )
        )
    _remember(session, answer, revision, "labelled", boxes)
    await session.flush()
    return await load(session, answer.frame)


async def skip(session: AsyncSession, answer: Answer) -> Frame:
    """Put the frame aside in the open write transaction; its boxes stay. Raises FrameMissingError, ConflictError."""
    frame = await load(session, answer.frame)
    boxes = [LabelBox((a.x1, a.y1, a.x2, a.y2), a.label) for a in frame.annotations if a.confirmed]
    revision = await _take_turn(session, answer, "skipped")
    _remember(session, answer, revision, "skipped", boxes)
    await session.flush()
    return await load(session, answer.frame)
