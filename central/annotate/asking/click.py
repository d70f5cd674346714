"""A click on the middle of an object: which proposal it speaks for, and where points are kept.

    point, proposals of the class -> the one that holds it and has it nearest to its middle -> surer; its rivals less so

A click says where an object is and nothing of its size (Papadopoulos et al., "Training object class detectors with
click supervision", CVPR 2017): a part of the object has its middle elsewhere, and so has a box around several. It makes
no label; it is a point on the frame, with who clicked, when, and how long it took, and discovery learns from it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.verdicts import corners
from central.store.models import Annotation, QuestionAnswer
from protocols.messages import Box

CLICK_WORTH: Final = 0.5
"""Of a click, in boxes: it settles where, not how far."""
SPREAD: Final = 0.2
"""By which people miss the middle of an object, in its sides (one standard deviation)."""
RAISED: Final = 0.6
"""Share of its doubt that the proposal which fits a click loses."""
EVEN: Final = 0.5
"""Of a proposal without a score."""

Spot = tuple[float, float]
"""x, y in pixels of the frame."""


@dataclass(frozen=True)
class Point:
    """A click on the middle of an object of `label`; `revision` of the frame after it."""

    frame: str
    revision: int
    label: str
    at: Spot
    by: str
    when: datetime
    seconds: float | None


def centred(box: Box, at: Spot) -> float:
    """Return how well `box` (xyxy, pixels) has `at` in its middle: 1 there, 0 outside of it."""
    x1, y1, x2, y2 = box
    if not (x1 <= at[0] <= x2 and y1 <= at[1] <= y2) or x2 <= x1 or y2 <= y1:
        return 0.0
    dx, dy = (at[0] - (x1 + x2) / 2) / (x2 - x1), (at[1] - (y1 + y2) / 2) / (y2 - y1)
    return math.exp(-(dx * dx + dy * dy) / (2 * SPREAD**2))


def probability(proposal: Annotation) -> float:
    """Return how probably `proposal` is right: as measured, else by its score."""
    known = (value for value in (proposal.confidence, proposal.score) if value is not None)
    return min(1.0, max(0.0, next(known, EVEN)))


def weighed(proposals: Sequence[Annotation], label: str, at: Spot) -> list[tuple[Annotation, float]]:
    """Return the proposals of `label` that hold the click, each with its new confidence 0..1.

    The one that fits it best loses most of its doubt; the others are of the same object, and lose as much as they fit
    it less.
    """
    fits = ((p, probability(p) * centred(corners(p), at)) for p in proposals if p.label == label)
    held = [(p, fit) for p, fit in fits if fit > 0]
    best, most = max(held, key=lambda row: row[1], default=(None, 0.0))
    return [
        (p, probability(p) + RAISED * (1 - probability(p)) if p is best else probability(p) * (1 - RAISED) * fit / most)
        for p, fit in held
    ]


async def points(session: AsyncSession, frames: Sequence[str]) -> dict[str, list[Point]]:
    """Return what was clicked on each of `frames`, oldest first; frames without a click are left out."""
    found: dict[str, list[Point]] = defaultdict(list)
    query = select(QuestionAnswer).where(
        QuestionAnswer.frame.in_(frames), QuestionAnswer.kind == "click", QuestionAnswer.answer == "point"
    )
    for row in await session.scalars(query.order_by(QuestionAnswer.id)):
        x, y = row.question["point"]
        label = str(row.question["labels"][0])
        found[row.frame].append(Point(row.frame, row.revision, label, (x, y), row.author, row.at, row.seconds))
    return dict(found)
