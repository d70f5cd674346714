"""Proposals by the released pack, in place of those that an older one made.

Runs as a job: for each waiting frame, best first, read the image, run the pack through the very code that runs on a
node, and replace the machine-made unconfirmed boxes. A frame that somebody answered meanwhile is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.boxes import MAX_BOXES, LabelBox, clip
from central.store import blobs as blob_store
from central.store import database as db
from central.store.blobs import BlobError, Blobs
from central.store.models import Annotation, Frame
from edge.runtime import Inference
from edge.runtime.model import Model
from protocols.pack import open_folder

FUNCTION: Final = "central.annotate.proposals:run"
SOURCE: Final = "pack"
REPLACED: Final = ("node", SOURCE)
"""Sources whose unconfirmed boxes give way; what a teacher or a person left stays."""
BATCH: Final = 16
"""Frames read and written at a time."""
MAX_FRAMES: Final = 2000
"""Frames of one run, best first: nobody reviews more before the next release."""
THREADS: Final = 1
"""Of the model: nodes and people come first."""


def boxes_of(
    found: Inference, labels: Collection[str], names: Collection[str], width: int, height: int
) -> list[LabelBox]:
    """Return what `found` proposes for a frame of `width` x `height` pixels, best first.

    `labels` are the model's, in the order of its classes; those that are not among the project's `names` are left out.
    """
    model_labels = list(labels)
    detections = found.detections
    boxes = []
    for box, score, index in zip(detections.boxes, detections.scores, detections.classes, strict=True):
        name = model_labels[int(index)]
        x1, y1, x2, y2 = (float(v) for v in box)
        cut = clip((x1, y1, x2, y2), width, height, tolerance=float("inf"))
        if name in names and cut is not None:
            boxes.append(LabelBox(cut, name, min(1.0, max(0.0, float(score)))))
    return boxes[:MAX_BOXES]


async def replace(session: AsyncSession, frame: str, pack: str, boxes: Collection[LabelBox]) -> bool:
    """Put `boxes` of `pack` on a waiting frame in the open write transaction; False where it waits no more."""
    result = await session.execute(
        update(Frame)
        .where(Frame.id == frame, Frame.state == "pending")
        .values(proposed_by=pack)
        .execution_options(synchronize_session=False)
        .returning(Frame.id)
    )
    if result.first() is None:
        return False
    await session.execute(
        delete(Annotation).where(
            Annotation.frame == frame, Annotation.confirmed.is_(False), Annotation.source.in_(REPLACED)
        )
    )
    for given in boxes:
        x1, y1, x2, y2 = given.box
        session.add(
            Annotation(frame=frame, x1=x1, y1=y1, x2=x2, y2=y2, label=given.label, source=SOURCE, score=given.score)
        )
    return True


def _outdated(pack: str) -> Any:
    seen = func.coalesce(Frame.proposed_by, Frame.pack, "")
    return (Frame.state == "pending", or_(seen != pack))


async def outdated(session: AsyncSession, pack: str) -> int:
    """Return how many waiting frames do not have the proposals of `pack`."""
    return int(await session.scalar(select(func.count()).select_from(Frame).where(*_outdated(pack))) or 0)


async def _decode(blobs: Blobs, frame: Frame) -> NDArray[np.uint8] | None:
    try:
        data = await blobs.read(frame.blob)
    except BlobError:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else image.astype(np.uint8, copy=False)


async def propose(
    database: db.Database,
    blobs: Blobs,
    model: Model,
    names: Collection[str],
    report: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    """Renew the proposals of the waiting frames with `model` and return how many there were."""
    pack = model.pack.address
    async with database.read() as session:
        query = select(Frame).where(*_outdated(pack)).order_by(Frame.value.desc()).limit(MAX_FRAMES)
        frames = list(await session.scalars(query))
    done = replaced = 0
    for start in range(0, len(frames), BATCH):
        found: dict[str, list[LabelBox]] = {}
        for frame in frames[start : start + BATCH]:
            image = await _decode(blobs, frame)
            if image is not None:
                inference = await asyncio.to_thread(model.infer, image)
                found[frame.id] = boxes_of(inference, model.labels, names, frame.width, frame.height)
        async with database.write() as session:
            replaced += sum([await replace(session, name, pack, boxes) for name, boxes in found.items()])
        done = min(len(frames), start + BATCH)
        report({"progress": done / len(frames), "detail": f"{done} of {len(frames)} frames", "changed": replaced})
    return {"frames": done, "changed": replaced}


def run(
    pack: str,
    names: list[str],
    database_url: str,
    blob_url: str | None,
    blob_folder: str,
    report: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    """The job: renew proposals with the pack in folder `pack`."""

    async def work() -> dict[str, Any]:
        database = db.connect(database_url)
        blobs = blob_store.connect(blob_url, Path(blob_folder))
        try:
            with Model(open_folder(Path(pack)), backend="cpu", threads=THREADS) as model:
                return await propose(database, blobs, model, names, report)
        finally:
            await database.close()

    return asyncio.run(work())
