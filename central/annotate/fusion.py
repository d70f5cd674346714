"""Several looks at one image made into one: weighted boxes fusion.

Solovyev, Wang and Gabruseva, "Weighted boxes fusion: Ensembling boxes from different object detection models", Image
and Vision Computing 2021. Boxes of one class that overlap are one object: its box is their mean, weighted by their
scores; its score is their mean, times the share of the looks that saw it. Here a look may be at a part of the image
only: those count whose part holds the whole object, and a box that such a part cuts off is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Detections, Float
from edge.runtime.nms import overlaps

SAME: Final = 0.55
"""Intersection over union from which two looks saw the same object, as in the paper."""
CUT: Final = 2.0
"""Pixels from the edge of a part, where the image goes on, within which a box is taken to be cut off."""
OVERLAP: Final = 0.25
"""Share of a part that the next one shows again: what one of them cuts, another one mostly has whole."""

Window = tuple[int, int, int, int]
"""x, y, width and height of a part, in pixels of the image."""


@dataclass(frozen=True)
class Look:
    """What was seen in one part of an image: boxes in pixels of the image."""

    window: Window
    found: Detections


def windows(width: int, height: int, zoom: float) -> Iterator[Window]:
    """Yield the parts of an image of `width` x `height` of which each is ``1 / zoom`` as wide and as high."""
    wide, high = min(width, round(width / zoom)), min(height, round(height / zoom))
    for y in _starts(height, high):
        for x in _starts(width, wide):
            yield x, y, wide, high


def _starts(whole: int, part: int) -> list[int]:
    if part >= whole:
        return [0]
    count = int(np.ceil((whole - part) / (part * (1 - OVERLAP)))) + 1
    return [round(v) for v in np.linspace(0, whole - part, count)]


def placed(found: Detections, window: Window, width: int, height: int, mirrored: bool = False) -> Look:
    """Return what was `found` in a part of an image of `width` x `height`, in its pixels, without what is cut off."""
    x, y, wide, high = window
    boxes = found.boxes.copy()
    if mirrored:
        boxes[:, [0, 2]] = wide - found.boxes[:, [2, 0]]
    near = np.zeros(len(boxes), bool)
    for side, limit, inner in ((0, 0, x > 0), (1, 0, y > 0), (2, wide, x + wide < width), (3, high, y + high < height)):
        if inner:
            near |= np.abs(boxes[:, side] - limit) < CUT
    boxes += np.array([x, y, x, y], np.float32)
    keep = ~near
    return Look(window, Detections(boxes[keep].astype(np.float32), found.scores[keep], found.classes[keep]))


def _holds(windows_: NDArray[np.float32], box: Float) -> int:
    """Return how many of ``[L, 4]`` xyxy hold all of `box`."""
    slack = CUT
    inside = (windows_[:, 0] <= box[0] + slack) & (windows_[:, 1] <= box[1] + slack)
    inside &= (windows_[:, 2] >= box[2] - slack) & (windows_[:, 3] >= box[3] - slack)
    return max(1, int(inside.sum()))


def fuse(looks: Sequence[Look], same: float = SAME) -> Detections:
    """Return what `looks` at one image saw together, best first."""
    boxes = np.concatenate([look.found.boxes for look in looks]) if looks else np.zeros((0, 4), np.float32)
    if not len(boxes):
        return Detections(boxes.reshape(-1, 4), np.zeros(0, np.float32), np.zeros(0, np.int64))
    scores = np.concatenate([look.found.scores for look in looks])
    classes = np.concatenate([look.found.classes for look in looks])
    parts = np.array([(x, y, x + w, y + h) for (x, y, w, h) in (look.window for look in looks)], np.float32)
    fused: list[tuple[Float, float, int]] = []
    for label in np.unique(classes):
        own = np.flatnonzero(classes == label)
        for box, score in _clusters(boxes[own], scores[own], parts, same):
            fused.append((box, score, int(label)))
    fused.sort(key=lambda f: -f[1])
    return Detections(
        np.array([f[0] for f in fused], np.float32).reshape(-1, 4),
        np.array([f[1] for f in fused], np.float32),
        np.array([f[2] for f in fused], np.int64),
    )


def _clusters(boxes: Float, scores: Float, parts: NDArray[np.float32], same: float) -> Iterator[tuple[Float, float]]:
    """Yield the objects that boxes ``[N, 4]`` of one class are of: box and score."""
    centres = np.zeros((0, 4), np.float32)
    sums: list[tuple[NDArray[np.float64], float, int]] = []
    for index in np.argsort(-scores, kind="stable"):
        box, score = boxes[index].astype(np.float64), float(scores[index])
        alike = overlaps(centres, boxes[index : index + 1])[:, 0] if len(centres) else np.zeros(0)
        best = int(alike.argmax()) if len(alike) else -1
        if best >= 0 and alike[best] > same:
            total, weight, count = sums[best]
            sums[best] = total + score * box, weight + score, count + 1
            centres[best] = sums[best][0] / max(sums[best][1], 1e-9)
        else:
            sums.append((score * box, score, 1))
            centres = np.vstack([centres, box[None].astype(np.float32)])
    for centre, (_, weight, count) in zip(centres, sums, strict=True):
        seen_by = _holds(parts, centre)
        yield centre, weight / count * min(count, seen_by) / seen_by
