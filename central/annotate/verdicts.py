"""What a person made of each proposal of a machine. Pure: boxes in, verdicts out.

A box of the answer belongs to the proposal that it says it came from; one that says nothing, to the proposal that it
overlaps most, by at least `SAME_OBJECT`. A proposal that no box belongs to was wrong where the frame was looked
through for its label; elsewhere nobody knows, and it gets no verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from central.annotate.boxes import LabelBox
from central.store.models import Annotation, Outcome
from protocols.messages import Box

SAME_OBJECT: Final = 0.5
"""Intersection over union from which two boxes are of one object, as everywhere in detection."""
UNMOVED: Final = 0.95
"""Intersection over union from which a box counts as left where it was: half a pixel of rounding on a small one."""


@dataclass(frozen=True)
class Verdict:
    """What became of one proposal."""

    source: str
    label: str
    score: float | None
    outcome: Outcome


@dataclass(frozen=True)
class Judged:
    """`origins` has, for each box of the answer, the proposal that it came from and whether it was moved."""

    origins: tuple[tuple[Annotation, bool] | None, ...]
    verdicts: tuple[Verdict, ...]


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes xyxy, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def corners(row: Annotation) -> Box:
    """Return the box of an annotation."""
    return row.x1, row.y1, row.x2, row.y2


def pair(
    left: Sequence[LabelBox], right: Sequence[LabelBox], least: float = SAME_OBJECT
) -> list[tuple[int, int, float]]:
    """Return which boxes of `left` and `right` are one object whatever their label: indices and their overlap.

    Each is taken once, those that overlap most first; of equal ones those of the same label.
    """
    close = [(iou(a.box, b.box), a.label == b.label, i, j) for i, a in enumerate(left) for j, b in enumerate(right)]
    found, taken, given = [], set(), set()
    for overlap, _, i, j in sorted((c for c in close if c[0] >= least), key=lambda c: (-c[0], not c[1])):
        if i not in taken and j not in given:
            taken.add(i)
            given.add(j)
            found.append((i, j, overlap))
    return found


def judge(boxes: Sequence[LabelBox], proposals: Sequence[Annotation], complete_for: Collection[str]) -> Judged:
    """Return what the answer `boxes`, complete for the classes `complete_for`, says of each of the `proposals`."""
    by_id = {str(p.id): p for p in proposals}
    origins = [None if box.origin is None else by_id.pop(box.origin, None) for box in boxes]
    open_boxes = [i for i, origin in enumerate(origins) if origin is None]
    rest = list(by_id.values())
    as_boxes = [LabelBox(corners(p), p.label) for p in rest]
    for i, j, _ in pair([boxes[i] for i in open_boxes], as_boxes):
        origins[open_boxes[i]] = rest[j]
        del by_id[str(rest[j].id)]
    verdicts: list[Verdict] = []
    known: list[tuple[Annotation, bool] | None] = []
    for box, origin in zip(boxes, origins, strict=True):
        if origin is None:
            known.append(None)
            continue
        moved = iou(box.box, corners(origin)) < UNMOVED
        outcome: Outcome = "relabelled" if box.label != origin.label else "moved" if moved else "kept"
        verdicts.append(Verdict(origin.source, origin.label, origin.score, outcome))
        known.append((origin, moved))
    gone = (p for p in by_id.values() if p.label in complete_for)
    verdicts += [Verdict(p.source, p.label, p.score, "deleted") for p in gone]
    return Judged(tuple(known), tuple(verdicts))
