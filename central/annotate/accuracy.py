"""How well a pack does in the field, per camera: from what people said about frames that were drawn by chance.

    stored frames of one camera and pack -> which of them were reviewed -> Counts per frame -> `estimate.ratio`

Two bases, and only these two, give no bias:

- `all`: every frame that the node kept and the centre has was looked through; each weighs one over its probability.
- `audit`: some still wait. Those that wait are no chance subset, as the most valuable are asked first; but the frames
  of the uniform audit are asked in random order (`central.ingest.value`), so those of them that were looked through
  are one, and weigh one over the audit's own probability.

A frame that was kept by a rule and not by chance tells nothing of those that were not kept, and is left out. A frame
counts for the classes that it was looked through for, by a person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from central.annotate.estimate import Interval, ratio
from central.learn.detect.precision import match
from central.store.models import Frame, Node
from protocols.messages import AUDIT_REASON

PERSON: Final = "person"
"""`Annotation.source` of what a person said."""
MACHINES: Final = frozenset({"nobody", "import"})
"""Authors whose answers are not a person's."""
CERTAIN: Final = frozenset({"all"})
"""Policies whose probability of one is no lie: they keep every frame."""
MOST_FRAMES: Final = 5000
"""Newest frames that are looked at; more would not narrow an interval that anybody reads."""

Basis = Literal["all", "audit"]
Key = tuple[str, str, str]
"""Node, camera, pack."""


@dataclass(frozen=True)
class Counts:
    """One reviewed frame: objects that are there, those of them found, and boxes that the pack reported."""

    objects: int
    found: int
    reported: int


@dataclass(frozen=True)
class Row:
    """One stored frame as the estimate needs it. `counts` is None where nobody looked through it."""

    probability: float
    audit: float | None
    audited: bool
    certain: bool
    counts: Counts | None


@dataclass(frozen=True)
class Accuracy:
    """The estimates for one camera and pack: share of the objects that were found, and of the boxes that are right."""

    node: str
    camera: str
    pack: str
    basis: Basis | None
    stored: int
    reviewed: int
    used: int
    found: Interval | None
    right: Interval | None


def count(frame: Frame) -> Counts:
    """Compare what the node's pack saw with what a person confirmed, for the classes that were looked through."""
    objects = found = reported = 0
    for label in frame.complete_for:
        truth = [(a.x1, a.y1, a.x2 - a.x1, a.y2 - a.y1) for a in frame.annotations if a.confirmed and a.label == label]
        seen = sorted((d for d in frame.detections if d["label"] == label), key=lambda d: -float(d["score"]))
        boxes = [_xywh(d["box"]) for d in seen]
        hits, _ = match(_array(boxes), _array(truth), np.zeros(len(truth), bool))
        objects, reported, found = objects + len(truth), reported + len(boxes), found + int(hits[0].sum())
    return Counts(objects, found, reported)


def _xywh(box: Sequence[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    return x1, y1, x2 - x1, y2 - y1


def _array(boxes: Sequence[tuple[float, ...]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(boxes, np.float64).reshape(-1, 4)


def row(frame: Frame) -> Row:
    """Return what the estimate needs of `frame`."""
    chosen = frame.selection
    looked = frame.state == "labelled" and bool(frame.complete_for) and frame.labelled_by not in MACHINES
    return Row(
        float(chosen.get("probability", 0.0)), chosen.get("audit"), chosen.get("reason") == AUDIT_REASON,
        chosen.get("policy") in CERTAIN, count(frame) if looked else None,
    )  # fmt: skip


def estimate(key: Key, rows: Sequence[Row], whole: bool = True) -> Accuracy:
    """Return the estimates from all stored frames of one camera and pack; `whole`: the node gave up none of them."""
    known = [r for r in rows if r.probability > 0 and (r.audit is not None or r.certain)]
    reviewed = [r for r in known if r.counts is not None]
    basis: Basis | None = None
    used: list[tuple[Counts, float]] = []
    if whole and known and len(reviewed) == len(known):
        basis, used = "all", [(r.counts, r.probability) for r in reviewed if r.counts is not None]
    elif any(r.audited and r.audit for r in reviewed):
        basis = "audit"
        used = [(r.counts, r.audit) for r in reviewed if r.counts is not None and r.audited and r.audit]
    hits, objects, reported = (
        np.array([getattr(counts, name) for counts, _ in used], np.float64) for name in ("found", "objects", "reported")
    )
    odds = np.array([probability for _, probability in used], np.float64)
    found, right = (ratio(hits, sizes, odds) if used else None for sizes in (objects, reported))
    seen = sum(r.counts is not None for r in rows)
    return Accuracy(*key, basis, len(rows), seen, len(used), found, right)


def by_camera(frames: Iterable[Frame], torn: Collection[str] = ()) -> list[Accuracy]:
    """Return the estimates for every camera and pack among `frames`, in order of their names.

    `torn` nodes gave up frames for want of space: the least valuable first, so that the rest is no fair sample."""
    groups: dict[Key, list[Row]] = defaultdict(list)
    for frame in frames:
        if frame.pack is not None:
            groups[(frame.node, frame.camera, frame.pack)].append(row(frame))
    return [estimate(key, groups[key], key[0] not in torn) for key in sorted(groups)]


async def accuracies(session: AsyncSession, since: datetime | None, node: str | None = None) -> list[Accuracy]:
    """Return the estimates from the newest MOST_FRAMES frames captured after `since`."""
    query = select(Frame).order_by(Frame.id.desc()).limit(MOST_FRAMES).options(selectinload(Frame.annotations))
    if since is not None:
        query = query.where(Frame.captured_at >= since)
    if node is not None:
        query = query.where(Frame.node == node)
    torn = set(await session.scalars(select(Node.name).where(Node.evicted > 0)))
    return by_camera(await session.scalars(query), torn)
