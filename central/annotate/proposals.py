"""Proposals for waiting frames: by the released pack, in place of an older one's, or by a teacher.

For each waiting frame, best first: read the image, ask the proposer, and replace the machine-made unconfirmed boxes. A
frame that somebody answered meanwhile is left alone. The released pack proposes as a job, through the very code that
runs on a node; a teacher whenever somebody asks it to, and what it proposed stands until a person answers: no pack
replaces it. The job looks at each image twice, proposes tags, and follows the labels of the frame before.

    image -> proposer -> boxes with scores -> how often such a score was right (`sources`) -> proposals
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, delete, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate import queue
from central.annotate.boxes import MAX_BOXES, LabelBox, clip
from central.annotate.mirror import Eyes
from central.annotate.propagate import follow, read, store
from central.annotate.sources import Curves, calibrate, curves
from central.annotate.track import TrackError
from central.store import blobs as blob_store
from central.store import database as db
from central.store.blobs import Blobs
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
    tags: Callable[[], Mapping[str, float]] = dict
    """Score 0..1 of each tag on the image last seen."""

    @property
    def teaches(self) -> bool:
        """Whether it is a teacher."""
        return COLON in self.name


def of_pack(model: Model) -> Proposer:
    """Return the opened pack `model` as a proposer."""
    eyes = Eyes(model)
    return Proposer(model.pack.address, SOURCE, tuple(model.labels), eyes.see, tags=eyes.tags)


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


async def replace(
    session: AsyncSession,
    frame: str,
    by: Proposer,
    boxes: Collection[LabelBox],
    tags: Mapping[str, float] = MappingProxyType({}),
    curves: Curves = MappingProxyType({}),
) -> bool:
    """Put `boxes` and `tags` of `by` on a waiting frame in the open write transaction; False where it waits no more.

    A pack's replace all of nodes and packs; a teacher's all of whichever machine, of the labels that it covers.
    `curves` say what scores are worth.
    """
    result = await session.execute(
        update(Frame)
        .where(Frame.id == frame, Frame.state == "pending")
        .values(proposed_by=by.name, **({"tag_proposals": dict(tags)} if tags else {}))
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
    rows = []
    for given in boxes:
        x1, y1, x2, y2 = given.box
        rows.append(
            Annotation(frame=frame, x1=x1, y1=y1, x2=x2, y2=y2, label=given.label, source=by.source, score=given.score)
        )
    calibrate(rows, curves)
    session.add_all(rows)
    return True


def _outdated(name: str, again: bool = False, every: bool = False) -> ColumnElement[bool]:
    """Return which frames the proposer `name` is to look at; `again`: also those that it has looked at, for a teacher;
    `every`: also those on which the node ran it, for a pack."""
    if COLON in name:
        new = or_(Frame.proposed_by.is_(None), Frame.proposed_by != name)
        return Frame.state == "pending" if again else and_(Frame.state == "pending", new)
    seen = func.coalesce(Frame.proposed_by, "") if every else func.coalesce(Frame.proposed_by, Frame.pack, "")
    return and_(Frame.state == "pending", seen != name, not_(seen.contains(COLON)))


async def outdated(session: AsyncSession, pack: str, every: bool = False) -> int:
    """Return how many waiting frames have neither the proposals of `pack` nor a teacher's; `every`: nor from here."""
    query = select(func.count()).select_from(Frame).where(_outdated(pack, every=every))
    return int(await session.scalar(query) or 0)


async def track(database: db.Database, blobs: Blobs, frames: Sequence[str]) -> int:
    """Propose on waiting `frames` the labels of the last labelled frame of their camera; return on how many."""
    done = 0
    for name in frames:
        async with database.read() as session:
            frame = await queue.load(session, name)
            before = await queue.previous(session, frame, "")
        if before is None:
            continue
        try:
            found = await follow(blobs, before, frame)
        except TrackError:
            continue  # another scene, or long ago: there is nothing to follow
        async with database.write() as session:
            done += bool(await store(session, name, found))
    return done


async def propose(
    database: db.Database,
    blobs: Blobs,
    by: Proposer,
    names: Collection[str],
    report: Callable[[Mapping[str, Any]], None],
    limit: int = MAX_FRAMES,
    again: bool = False,
    every: bool = False,
) -> dict[str, Any]:
    """Renew the proposals of up to `limit` waiting frames and return how many there were, changed, and boxes.

    A teacher leaves frames that it has looked at alone, unless `again`; a pack those on which the node ran it, unless
    `every`.
    """
    async with database.read() as session:
        query = select(Frame).where(_outdated(by.name, again, every)).order_by(Frame.value.desc()).limit(limit)
        frames = list(await session.scalars(query))
        worth = await curves(session)
    done = replaced = boxes = 0
    for start in range(0, len(frames), BATCH):
        found: dict[str, tuple[list[LabelBox], Mapping[str, float]]] = {}
        for frame in frames[start : start + BATCH]:
            image = await read(blobs, frame)
            if image is not None:
                seen = await asyncio.to_thread(by.see, image)
                found[frame.id] = boxes_of(seen, by.labels, names, frame.width, frame.height), dict(by.tags())
        async with database.write() as session:
            kept = [len(own[0]) for name, own in found.items() if await replace(session, name, by, *own, worth)]
        if not by.teaches:
            await track(database, blobs, list(found))
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
    every: bool = False,
) -> dict[str, Any]:
    """The job: renew proposals with the pack in folder `pack`; `every`: also where the node ran it."""

    async def work() -> dict[str, Any]:
        database = db.connect(database_url)
        blobs = blob_store.connect(blob_url, Path(blob_folder))
        try:
            with Model(open_folder(Path(pack)), backend="cpu", threads=THREADS) as model:
                return await propose(database, blobs, of_pack(model), names, report, every=every)
        finally:
            await database.close()

    return asyncio.run(work())
