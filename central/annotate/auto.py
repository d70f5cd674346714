"""The reviewer that is nobody: confident proposals become labels without a person.

What it accepts stays marked as machine-made (`source` ``machine``, with its score), and it claims to be complete for
nothing: what it did not see is unknown, not absent. A frame on which it is sure of nothing is put aside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from central.annotate import queue
from central.annotate.boxes import SAME, LabelBox, LabelError
from central.annotate.leases import LeasedError
from central.annotate.verdicts import iou
from central.notify import Notifier
from central.store.database import Database
from central.store.models import Frame

_log = structlog.get_logger(__name__)
AUTHOR: Final = "nobody"
SOURCE: Final = "machine"
BATCH: Final = 20
"""Frames per turn; people who look at the queue meanwhile see it shrink steadily."""
INTERVAL_S: Final = 2.0
"""Seconds between two turns."""


def accept(frame: Frame, confidence: float, known: Collection[str]) -> list[LabelBox]:
    """Return the proposals on `frame` with a score of at least `confidence` (0..1) and a label that exists, best first.

    Of several on one object the surest counts: a round would learn neither of two classes.
    """
    sure = [
        LabelBox((a.x1, a.y1, a.x2, a.y2), a.label, a.score)
        for a in frame.annotations
        if not a.confirmed and a.score is not None and a.score >= confidence and a.label in known
    ]
    kept: list[LabelBox] = []
    for given in sorted(sure, key=lambda each: -(each.score or 0.0)):
        if all(iou(given.box, other.box) < SAME for other in kept):
            kept.append(given)
    return kept


async def review(database: Database, known: Sequence[str], confidence: float, limit: int = BATCH) -> int:
    """Answer up to `limit` waiting frames, most valuable first, and return how many."""
    async with database.read() as session:
        frames = await queue.waiting(session, limit, untouched=True)
    answered = 0
    for frame in frames:
        boxes = accept(frame, confidence, known)
        answer = queue.Answer(frame.id, frame.revision, AUTHOR, boxes, source=SOURCE)
        try:
            async with database.write() as session:
                await (queue.label(session, answer, known) if boxes else queue.skip(session, answer))
        except (queue.ConflictError, queue.FrameMissingError, LeasedError, LabelError):
            continue  # somebody was quicker or looks at it, or the box is no box: it is theirs
        answered += 1
    return answered


async def run(
    database: Database,
    notifier: Notifier,
    known: Callable[[], Sequence[str]],
    confidence: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Review for ever. `known` gives the labels as they are now: the profile may be edited meanwhile."""
    while True:
        try:
            if await review(database, known(), confidence):
                notifier.emit("label")
        except SQLAlchemyError as error:
            _log.warning("reviewing by nobody failed; trying again", error=str(error)[:300])
        await sleep(INTERVAL_S)
