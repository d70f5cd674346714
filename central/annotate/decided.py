"""What a person decided about a frame that still waits: no machine may propose it again, or against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.boxes import LabelBox
from central.annotate.verdicts import SAME_OBJECT, corners, iou
from central.store.models import Annotation, Frame, QuestionAnswer
from protocols.messages import Box


@dataclass(frozen=True)
class Decided:
    """Boxes that a person said yes or no to, with their labels, and labels that the frame is complete for."""

    boxes: Sequence[tuple[Box, str]] = ()
    complete: frozenset[str] = field(default_factory=frozenset)

    def with_boxes(self, more: Sequence[tuple[Box, str]]) -> Decided:
        """Return this with `more` boxes that need no other proposal."""
        return Decided([*self.boxes, *more], self.complete)

    def settles(self, proposal: LabelBox) -> bool:
        """Return whether a person has decided about `proposal` already."""
        return proposal.label in self.complete or any(
            label == proposal.label and iou(box, proposal.box) >= SAME_OBJECT for box, label in self.boxes
        )


async def decided(session: AsyncSession, frame: str) -> Decided:
    """Return what was decided about `frame`."""
    rows = await session.scalars(select(Annotation).where(Annotation.frame == frame, Annotation.confirmed))
    boxes = [(corners(row), row.label) for row in rows]
    refused = select(QuestionAnswer.question).where(
        QuestionAnswer.frame == frame, QuestionAnswer.kind == "box", QuestionAnswer.answer == "no"
    )
    for asked in await session.scalars(refused):
        boxes += [(tuple(b["box"]), b["label"]) for b in asked.get("boxes", [])]
    complete = await session.scalar(select(Frame.complete_for).where(Frame.id == frame))
    return Decided(boxes, frozenset(complete or ()))
