"""The boxes of an earlier frame as proposals on a later one: load, follow (`track.move`), store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate import queue, second
from central.annotate.boxes import MAX_BOXES, LabelBox, mask_of, plain_mask
from central.annotate.sources import calibrate, curves
from central.annotate.track import Moved, TrackError, move
from central.annotate.verdicts import SAME_OBJECT, corners, iou
from central.store.blobs import BlobAwayError, BlobError, Blobs
from central.store.database import Database
from central.store.models import Annotation, Frame

SOURCE: Final = "track"
MAX_GAP: Final = timedelta(minutes=10)
"""Between two frames; what moves is long gone by then, and light and shadows have changed."""


def labels_of(frame: Frame) -> list[LabelBox]:
    """Return the labels of a frame."""
    return [LabelBox(corners(a), a.label, a.score, mask_of(a.mask)) for a in frame.annotations if a.confirmed]


async def read(blobs: Blobs, frame: Frame) -> NDArray[np.uint8] | None:
    """Return the image of `frame`, BGR ``[H, W, 3]``; None where it cannot be read, ever. Raises BlobAwayError."""
    try:
        data = await blobs.read(frame.blob, frame.sha256)
    except BlobAwayError:
        raise
    except BlobError:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else image.astype(np.uint8, copy=False)


def near(earlier: Frame, later: Frame) -> None:
    """Raise TrackError where the two frames are of different cameras, or too far apart."""
    if (earlier.node, earlier.camera) != (later.node, later.camera):
        raise TrackError("too_different", "the two frames are of different cameras")
    if abs(later.captured_at - earlier.captured_at) > MAX_GAP:
        minutes = MAX_GAP.total_seconds() / 60
        raise TrackError(
            "too_far", f"the two frames are more than {minutes:.0f} minutes apart; nothing can be followed"
        )


async def follow(blobs: Blobs, earlier: Frame, later: Frame) -> list[Moved]:
    """Return the labels of `earlier` as they are on `later`; both with annotations loaded. Raises TrackError."""
    near(earlier, later)
    before, after = await read(blobs, earlier), await read(blobs, later)
    if before is None or after is None:
        raise TrackError("no_image", "the image of one of the two frames cannot be read")
    return await asyncio.to_thread(move, before, after, labels_of(earlier))


def _row(frame: str, moved: Moved) -> Annotation:
    x1, y1, x2, y2 = moved.box.box
    mask = plain_mask(moved.box.mask)
    return Annotation(
        frame=frame, x1=x1, y1=y1, x2=x2, y2=y2, label=moved.box.label, source=SOURCE, score=moved.confidence, mask=mask
    )


async def store(session: AsyncSession, frame: str, found: Sequence[Moved]) -> list[Annotation]:
    """Put `found` on a waiting frame in the open write transaction, in place of what was tracked before; return one
    annotation for each.

    Where another machine proposed the same object already, its proposal stands for it, with its own box: two on top of
    each other would have to be deleted by hand. On a frame that does not wait, nothing is stored. Raises
    FrameMissingError.
    """
    current = await queue.load(session, frame)
    if current.state != "pending":
        return [_row(frame, moved) for moved in found]
    others = [a for a in current.annotations if a.source != SOURCE]
    session.expunge_all()
    await session.execute(delete(Annotation).where(Annotation.frame == frame, Annotation.source == SOURCE))
    rows = []
    for moved in found[: max(0, MAX_BOXES - len(others))]:
        same = (a for a in others if a.label == moved.box.label and iou(corners(a), moved.box.box) >= SAME_OBJECT)
        known = next(same, None)
        if known is None:
            known = _row(frame, moved)
            session.add(known)
        rows.append(known)
    calibrate([row for row in rows if row.source == SOURCE], await curves(session, SOURCE))
    await session.flush()
    return rows


async def propagate(database: Database, blobs: Blobs, frame: str, earlier: str | None, person: str) -> list[Annotation]:
    """Propose on `frame` the labels of the frame `earlier`, or of the last labelled one before, where they are now.

    Raises FrameMissingError and TrackError.
    """
    async with database.read() as session:
        later = await queue.load(session, frame)
        if earlier is None:
            source = await queue.previous(session, later, person)
            if source is None:
                raise TrackError("no_previous", "no labelled frame of this camera before this one")
        else:
            source = await queue.load(session, earlier)
            if second.blind(source, person):
                raise TrackError("no_previous", "your own opinion about that frame is wanted first")
    found = await follow(blobs, source, later)
    async with database.write() as session:
        return await store(session, frame, found)
