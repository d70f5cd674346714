"""Proposals for waiting frames: by the released pack, in place of an older one's, or by a teacher.

For each waiting frame, best first: read the image, ask the proposer, and replace the machine-made unconfirmed boxes. A
frame that somebody answered meanwhile is left alone. The released pack proposes as a job, through the very code that
runs on a node; a teacher whenever somebody asks it to, and what it proposed stands until a person answers: no pack
replaces it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, delete, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.boxes import MAX_BOXES, LabelBox, clip
from central.store import blobs as blob_store
from central.store import database as db
from central.store.blobs import BlobError, Blobs
from central.store.models import Annotation, Frame
from edge.runtime import Detections
from edge.runtime.model import Model
from protocols.pack import open_folder

FUNCTION: Final = "central.annotate.proposals:run"
SOURCE: Final = "pack"
REPLACED: Final = ("node", SOURCE)
"""Sources whose unconfirmed boxes always give way."""
COLON: Final = ":"
"""In the name of every teacher (``KIND:MODEL``), and in no address of a pack."""
BATCH: Final = 16
"""Frames read and written at a time."""
MAX_FRAMES: Final = 2000
"""Frames of one run, best first: nobody reviews more before the next release."""
THREADS: Final = 1
"""Of the model: nodes and people come first."""


@dataclass(frozen=True)
class Proposer:
    """Whoever proposes."""

    name: str
    """Address of a pack, or a teacher's ``KIND:MODEL``."""
    source: str
    """What its boxes say they come from."""
    labels: tuple[str, ...]
    """Names of the classes that its detections index."""
    see: Callable[[NDArray[np.uint8]], Detections]
    """From a BGR image ``[H, W, 3]`` to detections in its pixels, best first."""
    covers: frozenset[str] = frozenset()
    """Labels of which every machine's proposals give way to its own, other teachers' included."""

    @property
    def teaches(self) -> bool:
        """Whether it is a teacher."""
        return COLON in self.name


def of_pack(model: Model) -> Proposer:
    """Return the opened pack `model` as a proposer."""
    return Proposer(model.pack.address, SOURCE, tuple(model.labels), lambda image: model.infer(image).detections)


def teacher_name(kind: str, model: str) -> str:
    """Return what the boxes of the teacher `kind` at `model` (a path or a hub name) say they come from."""
    return f"{kind}{COLON}{Path(model).name}"[:64]


def boxes_of(
    found: Detections, labels: Collection[str], names: Collection[str], width: int, height: int
) -> list[LabelBox]:
    """Return what `found` proposes for a frame of `width` x `height` pixels, best first.

    `labels` are the model's, in the order of its classes; those that are not among the project's `names` are left out.
    """
    model_labels = list(labels)
    boxes = []
    for box, score, index in zip(found.boxes, found.scores, found.classes, strict=True):
        name = model_labels[int(index)]
        x1, y1, x2, y2 = (float(v) for v in box)
        cut = clip((x1, y1, x2, y2), width, height, tolerance=float("inf"))
        if name in names and cut is not None:
            boxes.append(LabelBox(cut, name, min(1.0, max(0.0, float(score)))))
    return boxes[:MAX_BOXES]


async def replace(session: AsyncSession, frame: str, by: Proposer, boxes: Collection[LabelBox]) -> bool:
    """Put `boxes` of `by` on a waiting frame in the open write transaction; False where it waits no more.

    A pack's replace all of nodes and packs; a teacher's all of whichever machine, of the labels that it covers.
    """
    result = await session.execute(
        update(Frame)
        .where(Frame.id == frame, Frame.state == "pending")
        .values(proposed_by=by.name)
        .execution_options(synchronize_session=False)
        .returning(Frame.id)
    )
    if result.first() is None:
        return False
    outdone = Annotation.label.in_(by.covers) if by.teaches else Annotation.source.in_(REPLACED)
    mine = Annotation.source == by.source
    await session.execute(
        delete(Annotation).where(Annotation.frame == frame, Annotation.confirmed.is_(False), or_(outdone, mine))
    )
    for given in boxes:
        x1, y1, x2, y2 = given.box
        session.add(
            Annotation(frame=frame, x1=x1, y1=y1, x2=x2, y2=y2, label=given.label, source=by.source, score=given.score)
        )
    return True


def _outdated(name: str, again: bool = False) -> ColumnElement[bool]:
    """Return which frames the proposer `name` is to look at; `again`: also those that it has looked at."""
    if COLON in name:
        new = or_(Frame.proposed_by.is_(None), Frame.proposed_by != name)
        return Frame.state == "pending" if again else and_(Frame.state == "pending", new)
    seen = func.coalesce(Frame.proposed_by, Frame.pack, "")
    return and_(Frame.state == "pending", seen != name, not_(seen.contains(COLON)))


async def outdated(session: AsyncSession, pack: str) -> int:
    """Return how many waiting frames have neither the proposals of `pack` nor a teacher's."""
    return int(await session.scalar(select(func.count()).select_from(Frame).where(_outdated(pack))) or 0)


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
    by: Proposer,
    names: Collection[str],
    report: Callable[[Mapping[str, Any]], None],
    limit: int = MAX_FRAMES,
    again: bool = False,
) -> dict[str, Any]:
    """Renew the proposals of up to `limit` waiting frames and return how many there were, changed, and boxes.

    A teacher leaves frames that it has looked at alone, unless `again`.
    """
    async with database.read() as session:
        query = select(Frame).where(_outdated(by.name, again)).order_by(Frame.value.desc()).limit(limit)
        frames = list(await session.scalars(query))
    done = replaced = boxes = 0
    for start in range(0, len(frames), BATCH):
        found: dict[str, list[LabelBox]] = {}
        for frame in frames[start : start + BATCH]:
            image = await _decode(blobs, frame)
            if image is not None:
                seen = await asyncio.to_thread(by.see, image)
                found[frame.id] = boxes_of(seen, by.labels, names, frame.width, frame.height)
        async with database.write() as session:
            kept = [len(own) for name, own in found.items() if await replace(session, name, by, own)]
        replaced, boxes = replaced + len(kept), boxes + sum(kept)
        done = min(len(frames), start + BATCH)
        report({"progress": done / len(frames), "detail": f"{done} of {len(frames)} frames", "changed": replaced})
    return {"frames": done, "changed": replaced, "boxes": boxes}


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
                return await propose(database, blobs, of_pack(model), names, report)
        finally:
            await database.close()

    return asyncio.run(work())
