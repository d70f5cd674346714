"""How well targets were discovered: CorLoc, AP50, mask IoU. Boxes judge; training saw tags alone.

CorLoc (Deselaers, Alexe and Ferrari, ECCV 2010): of all images and classes present there, the share where the best box
of the class overlaps one of its objects by half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.learn.detect.quick import Found, Quick, measure
from central.learn.discover.fit import Judged
from edge.runtime import Float
from edge.runtime.nms import overlaps, suppress

RIGHT: Final = 0.5
APART: Final = 0.4
"""IoU above which two boxes of a class are of one object."""
LEAST: Final = 0.01
MOST: Final = 100
Ring = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Truth:
    """One image: boxes ``[M, 4]`` xyxy in its pixels, classes ``[M]``."""

    boxes: Float
    classes: NDArray[np.int64]


def best_boxes(boxes: Float, scores: Float) -> Float:
    """Return the best box of each class ``[C, 4]`` by scores ``[N, C]``; NaN where there is none."""
    if not len(boxes):
        return np.full((scores.shape[1], 4), np.nan, np.float32)
    return np.asarray(boxes[scores.argmax(0)], np.float32)


def located(best: Sequence[Float], truth: Sequence[Truth], right: float = RIGHT) -> tuple[int, int]:
    """Return in how many cases (image and class present) the best box ``[C, 4]`` is right, and how many there are."""
    hits = total = 0
    for own, true in zip(best, truth, strict=True):
        for label in np.unique(true.classes):
            total += 1
            if not np.isnan(own[label]).any():
                hits += bool(overlaps(own[label][None], true.boxes[true.classes == label]).max() >= right)
    return hits, total


def corloc(best: Sequence[Float], truth: Sequence[Truth], right: float = RIGHT) -> float:
    """Return the share 0..1 of cases where the best box is right; 0 without any."""
    hits, total = located(best, truth, right)
    return hits / total if total else 0.0


def detections(judged: Judged, least: float = LEAST) -> tuple[Float, Float, NDArray[np.int64]]:
    """Return the boxes, scores and classes of an image after suppression, best first."""
    rows, columns = np.nonzero(judged.scores > least)
    boxes, scores = judged.boxes[rows], judged.scores[rows, columns]
    kept = suppress(boxes, scores, columns.astype(np.int64), APART, MOST)
    return boxes[kept], scores[kept], columns[kept].astype(np.int64)


def quick(judged: Sequence[Judged], truth: Sequence[Truth], labels: tuple[str, ...]) -> Quick:
    """Return AP50 of the heads as a detector."""
    found = [Found(*detections(j), t.boxes, t.classes) for j, t in zip(judged, truth, strict=True)]
    return measure(found, labels)


def filled(rings: Sequence[Ring], height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels ``[H, W]`` inside polygon `rings` (x, y in pixels)."""
    mask = np.zeros((height, width), np.uint8)
    solid = (np.asarray(ring, np.float32) for ring in rings if len(ring) > 2)
    shapes = [ring.round().astype(np.int32).reshape(-1, 1, 2) for ring in solid]
    if shapes:
        cv2.fillPoly(mask, shapes, 1)
    return mask.astype(bool)


def mask_iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the IoU 0..1 of two masks; 1 where both are empty."""
    either = int((one | other).sum())
    return float((one & other).sum()) / either if either else 1.0
