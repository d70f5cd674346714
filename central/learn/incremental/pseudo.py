"""Labels that nobody gave: what the teacher sees of its own classes in frames that were labelled for others.

As in CL-DETR (Liu et al., CVPR 2023) the teacher's boxes that overlap a person's are dropped; what it only half sees is
neither object nor background. What it half sees within a person's box is that object, of which it knows no better:
kept, it would take the cells there that are to learn the new class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from central.learn.data import Example
from central.learn.data.dataset import read_image
from central.learn.detect.quick import Found, detect
from edge.runtime.nms import overlaps
from edge.runtime.prepare import letterbox

HALF_SEEN: Final = 0.1
"""Score from which the teacher's detection is no background any more."""
SURE: Final = 0.35
"""Score from which it is an object, where no labelled frame says better."""
PRECISION: Final = 0.8
"""Wanted of the boxes that are taken for objects, class by class."""
SAME: Final = 0.5
"""Overlap with a person's box of any class at which the teacher's is dropped."""
WITHIN: Final = 0.5
"""Share of a half seen box inside a person's at which it is dropped."""
FEWEST: Final = 10
"""Detections of a class below which its threshold is not fitted."""


def thresholds(teacher: Any, past: Sequence[Example], labels: tuple[str, ...]) -> dict[str, float]:
    """Return, per class of `teacher`, the lowest score (SURE..0.9) from which PRECISION of its detections are objects.

    Judged on those of `past` that are complete for the class; SURE for one with too few detections.
    """
    device = next(teacher.parameters()).device
    found: dict[str, float] = {}
    seen = list(zip(past, _seen(teacher, past, device), strict=True)) if past else []
    for column, label in enumerate(teacher.config.labels):
        found[label] = SURE
        if label not in labels:
            continue
        own = labels.index(label)
        judged = [_judged(image, column, own) for e, image in seen if image is not None and e.complete[own]]
        if not judged:
            continue
        scores, right = (np.concatenate(part) for part in zip(*judged, strict=True))
        if len(scores) >= FEWEST:
            found[label] = _lowest(scores, right)
    return found


def known(teacher: Any, labels: tuple[str, ...]) -> dict[int, int]:
    """Return the place in `labels` of each class of `teacher` that is there, by its own."""
    return {c: labels.index(name) for c, name in enumerate(teacher.config.labels) if name in labels}


def open_to(teacher: Any, examples: Sequence[Example], labels: tuple[str, ...]) -> bool:
    """Whether any of `examples` leaves a class of `teacher` open, for `label` to fill in."""
    own = list(known(teacher, labels).values())
    return any(not example.complete[own].all() for example in examples)


def _judged(image: Found, column: int, own: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return scores of the detections of class `column` and whether each is an object, of class `own` in the truth."""
    mine = image.classes == column
    truth = image.true_boxes[image.true_classes == own]
    best = overlaps(image.boxes[mine], truth).max(axis=1, initial=0.0)
    return image.scores[mine], best >= SAME


def _lowest(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    for threshold in np.arange(SURE, 0.9, 0.025):
        sure = scores >= threshold
        if not sure.any() or right[sure].mean() >= PRECISION:
            return float(threshold)
    return 0.9


def _seen(teacher: Any, examples: Sequence[Example], device: Any) -> list[Found | None]:
    """Return what `teacher` finds in each of `examples`; None where the image cannot be read."""
    found: list[Found | None] = []
    for example in examples:
        own = detect(teacher, [example], device)
        found.append(own[0] if own else None)
    return found


def label(
    teacher: Any, examples: Sequence[Example], labels: tuple[str, ...], sure: Mapping[str, float]
) -> tuple[list[Example], int]:
    """Return `examples` with the teacher's boxes of classes that they are not complete for, and how many are sure.

    A sure box counts by its score, a half seen one not at all; for the classes of the teacher the rest is background.
    """
    device = next(teacher.parameters()).device
    shared = known(teacher, labels)
    filled, count = [], 0
    for example in examples:
        if not open_to(teacher, [example], labels):
            filled.append(example)
            continue
        mine = detect(teacher, [example], device)
        image = read_image(str(example.path))
        if not mine or image is None:
            filled.append(example)
            continue
        _, place = letterbox(image, teacher.config.height, teacher.config.width)
        done, added = _filled(example, mine[0], place.to_source(mine[0].boxes), shared, teacher.config.labels, sure)
        filled.append(done)
        count += added
    return filled, count


def _within(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest share ``[N]`` of each of `boxes` ``[N, 4]`` that lies in one of `others` ``[M, 4]``."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2).max(axis=1, initial=0.0)
    own = (boxes[:, 2:] - boxes[:, :2]).clip(min=1e-6).prod(axis=1)
    return np.asarray(shared / own, np.float32)


def _filled(
    example: Example, seen: Found, boxes: NDArray[np.float32], known: Mapping[int, int], names: tuple[str, ...],
    sure: Mapping[str, float],
) -> tuple[Example, int]:  # fmt: skip
    open_ = {column: own for column, own in known.items() if not example.complete[own]}
    free = overlaps(boxes, example.boxes).max(axis=1, initial=0.0) < SAME
    wanted = np.array([int(c) in open_ for c in seen.classes], bool) & (seen.scores >= HALF_SEEN) & free
    limits = np.array([sure.get(names[int(c)], SURE) for c in seen.classes], np.float32)
    wanted &= (seen.scores >= limits) | (_within(boxes, example.boxes) < WITHIN)
    scores, columns, limits = seen.scores[wanted], seen.classes[wanted], limits[wanted]
    weights = np.where(scores >= limits, scores, 0.0).astype(np.float32)
    complete = example.complete.copy()
    complete[list(open_.values())] = True
    return replace(
        example,
        boxes=np.concatenate((example.boxes, boxes[wanted])).astype(np.float32),
        classes=np.concatenate((example.classes, np.array([open_[int(c)] for c in columns], np.int64))),
        weights=np.concatenate((example.weights, weights)),
        complete=complete,
    ), int((weights > 0).sum())
