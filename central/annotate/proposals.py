"""Proposals for waiting frames: by the released pack, in place of an older one's, or by a teacher.

For each waiting frame, best first: read the image, ask the proposer, and replace the machine-made unconfirmed boxes. A
frame that somebody answered meanwhile is left alone; on one of which single questions were answered nothing is proposed
that a person said yes or no to, and a click makes the proposal surer that fits it. What a teacher proposed stands until
a person answers: no pack replaces it.
`central.annotate.proposers` has every source that looks at frames in the background.

    image -> proposer -> boxes with scores -> how often such a score was right (`sources`) -> proposals
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, delete, exists, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.asking.click import points, weighed
from central.annotate.boxes import MAX_BOXES, LabelBox, LabelError, Mask, check_mask, clip, plain_mask
from central.annotate.decided import Decided, decided
from central.annotate.eyes import Eyes
from central.annotate.propagate import SOURCE as TRACK
from central.annotate.propagate import read
from central.annotate.sources import Curves, calibrate, curves
from central.annotate.tag_proposals import put
from central.annotate.verdicts import corners
from central.store import database as db
from central.store.blobs import Blobs
from central.store.models import Annotation, Frame, FrameLook
from edge.runtime import Detections
from edge.runtime.model import Model
from protocols.messages import Box

SOURCE: Final = "pack"
REPLACED: Final = ("node", SOURCE)
"""Sources whose unconfirmed boxes always give way."""
COLON: Final = ":"
"""In the name of every teacher (``KIND:MODEL``), and in no address of a pack."""
BATCH: Final = 16
"""Frames read and written at a time."""
MAX_FRAMES: Final = 2000
"""Frames of one run, best first: nobody reviews more before the next release."""


Outline = Callable[[NDArray[np.uint8], Sequence[Box]], Sequence[Sequence[Sequence[tuple[float, float]]]]]
"""From a BGR image ``[H, W, 3]`` and boxes to the rings of each, in pixels; none where there is no outline."""


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
    outline: Outline | None = None
    """Makes the outlines of its boxes, where it has any."""

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


def outlined(by: Proposer, image: NDArray[np.uint8], boxes: list[LabelBox]) -> list[LabelBox]:
    """Return `boxes` with the outlines that `by` makes of them; what is no outline of a frame is left out."""
    if by.outline is None or not boxes:
        return boxes
    height, width = image.shape[:2]

    def fitting(number: int, rings: Sequence[Sequence[tuple[float, float]]]) -> Mask | None:
        try:
            return check_mask(tuple(tuple(ring) for ring in rings), number, width, height)
        except LabelError:
            return None

    found = by.outline(image, [given.box for given in boxes])
    return [changed(given, mask=fitting(n, rings)) for n, (given, rings) in enumerate(zip(boxes, found, strict=True))]


async def _followed(session: AsyncSession, frame: str) -> list[tuple[Box, str]]:
    """Return the boxes, with their labels, that were followed to `frame`."""
    query = select(Annotation).where(Annotation.frame == frame, Annotation.source == TRACK, ~Annotation.confirmed)
    return [(corners(row), row.label) for row in await session.scalars(query)]


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
    `curves` say what scores are worth. What a person decided stays: a box like one that is confirmed or refused, or of
    a label that the frame is complete for, is left out; so is a pack's box of an object that was followed from the
    frame before, as two on top of each other would have to be deleted by hand.
    """
    result = await session.execute(
        update(Frame)
        .where(Frame.id == frame, Frame.state == "pending")
        .values(proposed_by=by.name)
        .execution_options(synchronize_session=False)
        .returning(Frame.revision)
    )
    row = result.first()
    if row is None:
        return False
    if by.teaches:
        await session.merge(FrameLook(frame=frame, source=by.source))
    if tags:
        await put(session, by.source, {frame: tags}, curves)
    known = await decided(session, frame) if row[0] else Decided()
    if not by.teaches:
        known = known.with_boxes(await _followed(session, frame))
    outdone = Annotation.label.in_(by.covers) if by.teaches else Annotation.source.in_(REPLACED)
    mine = Annotation.source == by.source
    await session.execute(
        delete(Annotation).where(Annotation.frame == frame, Annotation.confirmed.is_(False), or_(outdone, mine))
    )
    rows = []
    for given in boxes:
        if known.settles(given):
            continue
        x1, y1, x2, y2 = given.box
        rows.append(
            Annotation(
                frame=frame, x1=x1, y1=y1, x2=x2, y2=y2, label=given.label, source=by.source, score=given.score,
                mask=plain_mask(given.mask),
            )
        )  # fmt: skip
    calibrate(rows, curves)
    for point in (await points(session, [frame])).get(frame, ()) if row[0] else ():
        for one, sure in weighed(rows, point.label, point.at):
            one.confidence = sure
    session.add_all(rows)
    return True


def wanting(name: str, again: bool = False, every: bool = False) -> ColumnElement[bool]:
    """Return which frames the proposer `name` is to look at; `again`: also those that it has looked at, for a teacher;
    `every`: also those on which the node ran it, for a pack."""
    if COLON in name:
        looked = exists().where(FrameLook.frame == Frame.id, FrameLook.source == name)
        return Frame.state == "pending" if again else and_(Frame.state == "pending", ~looked)
    seen = func.coalesce(Frame.proposed_by, "") if every else func.coalesce(Frame.proposed_by, Frame.pack, "")
    return and_(Frame.state == "pending", seen != name, not_(seen.contains(COLON)))


async def outdated(session: AsyncSession, pack: str, every: bool = False) -> int:
    """Return how many waiting frames have neither the proposals of `pack` nor a teacher's; `every`: nor from here."""
    query = select(func.count()).select_from(Frame).where(wanting(pack, every=every))
    return int(await session.scalar(query) or 0)


async def propose(
    database: db.Database,
    blobs: Blobs,
    by: Proposer,
    names: Collection[str],
    report: Callable[[Mapping[str, Any]], None],
    limit: int = MAX_FRAMES,
    again: bool = False,
    every: bool = False,
    until: float = float("inf"),
) -> dict[str, Any]:
    """Renew the proposals of up to `limit` waiting frames and return how many there were, changed, and boxes.

    A teacher leaves frames that it has looked at alone, unless `again`; a pack those on which the node ran it, unless
    `every`. It ends early where `until` (of `time.monotonic`) has passed; each batch is stored, and is not done again.
    """
    async with database.read() as session:
        query = select(Frame).where(wanting(by.name, again, every)).order_by(Frame.value.desc()).limit(limit)
        frames = list(await session.scalars(query))
        worth = await curves(session)
    done = replaced = boxes = 0
    for start in range(0, len(frames), BATCH):
        if time.monotonic() > until:
            break
        found: dict[str, tuple[list[LabelBox], Mapping[str, float]]] = {}
        for frame in frames[start : start + BATCH]:
            image = await read(blobs, frame)
            if image is not None:
                seen = await asyncio.to_thread(by.see, image)
                boxes_seen = boxes_of(seen, by.labels, names, frame.width, frame.height)
                found[frame.id] = await asyncio.to_thread(outlined, by, image, boxes_seen), dict(by.tags())
        async with database.write() as session:
            kept = [len(own[0]) for name, own in found.items() if await replace(session, name, by, *own, worth)]
        replaced, boxes = replaced + len(kept), boxes + sum(kept)
        done = min(len(frames), start + BATCH)
        report({"progress": done / len(frames), "detail": f"{done} of {len(frames)} frames", "changed": replaced})
    return {"frames": done, "changed": replaced, "boxes": boxes}
