"""Average precision whose images can be weighted, so that a bootstrap costs a cumulative sum and not an evaluation.

    per image and class: greedy matching at each IoU -> Matches -> weights of images -> AP

The rules are COCO's (https://cocodataset.org/#detection-eval): the best 100 detections of a class per image, each
taking the free box that it overlaps most, crowds absorbing what falls into them, precision sampled at 101 recalls.
Boxes of every size count; the figures by size come from the COCO library. With all weights 1 both agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

IOUS: Final = np.linspace(0.5, 0.95, 10)
RECALLS: Final = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS: Final = 100
"""Of one class in one image."""


@dataclass(frozen=True)
class Matches:
    """One class over I images, its N detections best first.

    scores ``[N]``; image ``[N]`` index 0..I-1; hit and ignored ``[T, N]`` at each of IOUS; boxes ``[I]`` to find.
    """

    scores: Array
    image: NDArray[np.int64]
    hit: Bools
    ignored: Bools
    boxes: Array


def overlaps(found: Array, truth: Array, crowd: Bools) -> Array:
    """Return ``[D, G]`` IoU of boxes xywh; over the detection's own area where the truth is a crowd."""
    ends, truth_ends = found[:, :2] + found[:, 2:], truth[:, :2] + truth[:, 2:]
    low = np.maximum(found[:, None, :2], truth[None, :, :2])
    high = np.minimum(ends[:, None], truth_ends[None])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    own = found[:, 2:].prod(axis=1)[:, None]
    union = np.where(crowd[None], own, own + truth[:, 2:].prod(axis=1)[None] - shared)
    return np.asarray(shared / np.maximum(union, 1e-12))


def match(found: Array, truth: Array, crowd: Bools) -> tuple[Bools, Bools]:
    """Return hit and ignored ``[T, D]`` of detections ``[D, 4]`` xywh, best first, against boxes ``[G, 4]`` xywh."""
    hit = np.zeros((len(IOUS), len(found)), bool)
    ignored = np.zeros_like(hit)
    if not len(truth) or not len(found):
        return hit, ignored
    iou = overlaps(found, truth, crowd)
    taken = np.zeros((len(IOUS), len(truth)), bool)
    rows = np.arange(len(IOUS))
    for index in np.flatnonzero(iou.max(axis=1) >= IOUS[0]):
        free = np.where(taken | crowd[None], -1.0, iou[index][None])
        choice = free.argmax(axis=1)
        hit[:, index] = free[rows, choice] >= IOUS
        taken[rows[hit[:, index]], choice[hit[:, index]]] = True
        absorbed = np.where(crowd, iou[index], -1.0).max() >= IOUS
        ignored[:, index] = ~hit[:, index] & absorbed
    return hit, ignored


def collect(found: list[tuple[Array, Array]], truth: list[tuple[Array, Bools]]) -> Matches:
    """Return the matches of one class: per image detections (boxes xywh, scores) and truth (boxes xywh, crowd)."""
    scores, image, hits, ignored = [], [], [], []
    for index, ((boxes, score), (wanted, crowd)) in enumerate(zip(found, truth, strict=True)):
        order = np.argsort(-score, kind="stable")[:MAX_DETECTIONS]
        hit, ignore = match(boxes[order], wanted, crowd)
        scores.append(score[order])
        image.append(np.full(len(order), index, np.int64))
        hits.append(hit)
        ignored.append(ignore)
    values = np.concatenate(scores)
    order = np.argsort(-values, kind="stable")
    return Matches(
        values[order],
        np.concatenate(image)[order],
        np.concatenate(hits, axis=1)[:, order],
        np.concatenate(ignored, axis=1)[:, order],
        np.array([float((~crowd).sum()) for _, crowd in truth]),
    )


def average_precision(matches: Matches, weights: Array) -> Array | None:
    """Return AP ``[T]`` (0..1) at each of IOUS where image i counts ``weights[i]`` times; None without boxes."""
    wanted = float(matches.boxes @ weights)
    if wanted <= 0:
        return None
    weight = weights[matches.image]
    hits = np.cumsum(matches.hit * weight, axis=1)
    misses = np.cumsum(~(matches.hit | matches.ignored) * weight, axis=1)
    recall, precision = hits / wanted, hits / np.maximum(hits + misses, 1e-12)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    values = np.zeros(len(IOUS))
    for row in range(len(IOUS)):
        at = np.searchsorted(recall[row], RECALLS, side="left")
        values[row] = precision[row][at[at < recall.shape[1]]].sum() / len(RECALLS)
    return values


def mean_precision(classes: list[Matches], weights: Array) -> Array | None:
    """Return AP ``[T]`` averaged over the classes that have boxes to find; None where none has."""
    values = [value for value in (average_precision(one, weights) for one in classes) if value is not None]
    return np.mean(values, axis=0) if values else None


def bootstrap(classes: list[Matches], groups: NDArray[np.int64], resamples: int, seed: int) -> Array:
    """Return AP ``[R, T]`` of up to `resamples` draws of groups with replacement; image i is of ``groups[i]``."""
    random = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    draws = []
    for _ in range(resamples):
        times = np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
        value = mean_precision(classes, times[groups])
        if value is not None:
            draws.append(value)
    return np.array(draws).reshape(-1, len(IOUS))
