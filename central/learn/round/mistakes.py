"""What a pack still gets wrong on the held-back frames: the confusion of its classes, and its worst errors to look at.

    predictions at the pack's own threshold -> each matched to at most one box -> missed, false, wrong class

An error that the pack before did not make comes first: it is what the round broke.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from central.learn.detect.coco import Coco, CocoBox
from central.learn.detect.evaluate import Prediction
from central.learn.detect.precision import overlaps
from central.learn.judging import SAME

SHOWN: Final = 8
"""Errors of each kind that a report shows."""
TWICE: Final = 0.8
"""IoU from which two detections are one object seen as two classes: the surer one counts."""
Kind = Literal["missed", "false", "wrong class"]
KINDS: Final[tuple[Kind, ...]] = ("missed", "false", "wrong class")


@dataclass(frozen=True)
class Mistake:
    """One error. box xywh, pixels of the frame; score 0..1 of what was seen; `weight` sorts the worst first."""

    kind: Kind
    file: str
    camera: str
    box: tuple[float, float, float, float]
    true: str
    seen: str
    score: float | None
    new: bool
    """The pack before did not make it."""
    weight: float


@dataclass(frozen=True)
class Mistakes:
    """All of them. confusion ``[C+1, C+1]``: rows true, columns seen, the last one none; counts of each kind."""

    confusion: NDArray[np.int64]
    worst: dict[Kind, list[Mistake]]
    counts: dict[Kind, int]


def _sure(found: Prediction, threshold: float) -> Prediction:
    """Return what is shown to people: above the threshold, one class for each object."""
    order = np.argsort(-found.scores, kind="stable")
    order = order[found.scores[order] >= threshold]
    boxes = found.boxes[order]
    same = overlaps(boxes, boxes, np.zeros(len(boxes), bool)) >= TWICE
    kept = [i for i in range(len(order)) if not same[i, :i].any()]
    chosen = order[kept]
    return Prediction(found.image, found.boxes[chosen], found.scores[chosen], found.labels[chosen])


def _matches(found: Prediction, boxes: Sequence[CocoBox]) -> list[int | None]:
    """Return for each of `boxes` the detection that is on it: of its own class where there is one, else the surest."""
    wanted = np.array([b.bbox for b in boxes], np.float64).reshape(-1, 4)
    iou = overlaps(found.boxes, wanted, np.zeros(len(wanted), bool)) if len(found.boxes) else np.zeros((0, len(wanted)))
    taken: set[int] = set()
    chosen: list[int | None] = [None] * len(boxes)
    for right in (True, False):
        for j, box in enumerate(boxes):
            if chosen[j] is not None:
                continue
            fits = [
                i for i in np.flatnonzero(iou[:, j] >= SAME)
                if int(i) not in taken and (found.labels[i] == box.category_id) is np.bool_(right)
            ]  # fmt: skip
            if fits:
                best = max(fits, key=lambda i: iou[i, j])
                chosen[j] = int(best)
                taken.add(int(best))
    return chosen


def mistakes(
    truth: Coco, after: Sequence[Prediction], before: Sequence[Prediction], threshold: float, threshold_before: float
) -> Mistakes:
    """Return what the pack with predictions `after` gets wrong."""
    names = {c.id: c.name for c in truth.categories}
    place = {c.id: i for i, c in enumerate(sorted(truth.categories, key=lambda c: c.id))}
    boxes = truth.by_image()
    old = {p.image.id: _sure(p, threshold_before) for p in before}
    confusion = np.zeros((len(place) + 1, len(place) + 1), np.int64)
    all_: list[Mistake] = []
    for each in after:
        found, wanted = _sure(each, threshold), [b for b in boxes[each.image.id] if not b.iscrowd]
        was = old.get(each.image.id)
        chosen = _matches(found, wanted)
        had = _matches(was, wanted) if was is not None else [None] * len(wanted)
        for box, now, then in zip(wanted, chosen, had, strict=True):
            confusion[place[box.category_id], -1 if now is None else place[int(found.labels[now])]] += 1
            right_before = was is not None and then is not None and was.labels[then] == box.category_id
            all_ += _of_box(found, box, now, bool(right_before), names)
        for i in sorted(set(range(len(found.labels))) - {c for c in chosen if c is not None}):
            confusion[-1, place[int(found.labels[i])]] += 1
            all_.append(_false(found, i, was, names))
    return Mistakes(confusion, _worst(all_), {kind: sum(m.kind == kind for m in all_) for kind in KINDS})


def _of_box(
    found: Prediction, box: CocoBox, now: int | None, right_before: bool, names: dict[int, str]
) -> list[Mistake]:
    image = found.image
    if now is None:
        size = box.pixels / max(1, image.width * image.height)
        return [
            Mistake(
                "missed", image.file_name, image.place, box.bbox, names[box.category_id], "", None, right_before, size
            )
        ]
    label, score = int(found.labels[now]), float(found.scores[now])
    if label == box.category_id:
        return []
    return [
        Mistake(
            "wrong class", image.file_name, image.place, box.bbox, names[box.category_id], names[label], score,
            right_before, score,
        )
    ]  # fmt: skip


def _false(found: Prediction, i: int, was: Prediction | None, names: dict[int, str]) -> Mistake:
    x, y, width, height = (float(v) for v in found.boxes[i])
    box, label, score = (x, y, width, height), int(found.labels[i]), float(found.scores[i])
    before = was is not None and bool(
        len(was.boxes)
        and (overlaps(found.boxes[i : i + 1], was.boxes, np.zeros(len(was.boxes), bool))[0] >= SAME)[
            was.labels == label
        ].any()
    )
    return Mistake("false", found.image.file_name, found.image.place, box, "", names[label], score, not before, score)


def _worst(found: Sequence[Mistake]) -> dict[Kind, list[Mistake]]:
    chosen: dict[Kind, list[Mistake]] = {}
    for kind in KINDS:
        own = sorted((m for m in found if m.kind == kind), key=lambda m: (not m.new, -m.weight))
        chosen[kind] = own[:SHOWN]
    return chosen
