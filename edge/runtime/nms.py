"""Non-maximum suppression: of boxes of one class that overlap too much, the best one stays."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Detections, Float

MAX_CANDIDATES: Final = 1000
"""Best boxes that are looked at: the overlap matrix grows with the square (1000 boxes: 4 MB, about 10 ms)."""
MAX_KEPT: Final = 300
"""Detections of one frame; COCO scores count 100."""


def overlaps(first: Float, second: Float) -> Float:
    """Return the IoU ``[N, M]`` (0..1) of boxes ``[N, 4]`` and ``[M, 4]`` xyxy. Boxes without area overlap nothing."""
    width = _shared(first[:, 0], first[:, 2], second[:, 0], second[:, 2])
    height = _shared(first[:, 1], first[:, 3], second[:, 1], second[:, 3])
    shared = np.multiply(width, height, out=width)
    area_first = np.clip(first[:, 2:] - first[:, :2], 0, None).prod(axis=1)
    area_second = np.clip(second[:, 2:] - second[:, :2], 0, None).prod(axis=1)
    union = area_first[:, None] + area_second[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def _shared(low: Float, high: Float, other_low: Float, other_high: Float) -> Float:
    """Return how far the spans of ``[N]`` and those of ``[M]`` overlap, ``[N, M]``: one axis at a time is fastest."""
    span = np.minimum(high[:, None], other_high[None])
    span -= np.maximum(low[:, None], other_low[None])
    return np.maximum(span, 0, out=span)


def suppress(
    boxes: Float,
    scores: Float,
    classes: NDArray[np.int64],
    iou: float,
    limit: int = MAX_KEPT,
) -> NDArray[np.int64]:
    """Return the indices to keep, best first: no two of one class overlap by more than `iou` (0..1).

    boxes ``[N, 4]`` xyxy, scores ``[N]``, classes ``[N]``. Of equal scores the earlier box wins.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    ranked, kinds = boxes[order], classes[order]
    clash = (overlaps(ranked, ranked) > iou) & (kinds[:, None] == kinds[None])
    gone = np.zeros(len(order), bool)
    kept = []
    for index in range(len(order)):
        if gone[index]:
            continue
        kept.append(index)
        if len(kept) == limit:
            break
        gone |= clash[index]
    return order[np.array(kept, np.int64)].astype(np.int64)


def nms(found: Detections, iou: float, limit: int = MAX_KEPT) -> tuple[Detections, NDArray[np.int64]]:
    """Return `found` without the suppressed boxes, best first, and the indices kept."""
    keep = suppress(found.boxes, found.scores, found.classes, iou, limit)
    return found.take(keep), keep
