"""A pack that looks twice: at the image, and at its mirror image.

What both looks agree on keeps the mean of both scores and the box between both; what only one of them saw keeps half
its score (weighted boxes fusion of two models, Solovyev et al., Image and Vision Computing 2021). Tags are the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Detections
from edge.runtime.model import Model
from edge.runtime.nms import overlaps

SAME: Final = 0.55
"""Intersection over union from which two looks saw the same object, as in the paper."""


def unmirrored(found: Detections, width: int) -> Detections:
    """Return detections in the mirror image of an image `width` pixels wide, where they are in the image."""
    boxes = found.boxes.copy()
    boxes[:, [0, 2]] = width - found.boxes[:, [2, 0]]
    return Detections(boxes, found.scores, found.classes)


def merged(one: Detections, other: Detections) -> Detections:
    """Return what two looks at the same image saw, best first."""
    alike = overlaps(one.boxes, other.boxes) * (one.classes[:, None] == other.classes[None])
    boxes, scores, classes = [], [], []
    free = np.ones(len(other), bool)
    for i in range(len(one)):
        row = np.where(free, alike[i], 0.0) if len(other) else np.zeros(0)
        j = int(row.argmax()) if len(row) else -1
        weight = float(one.scores[i])
        if j >= 0 and row[j] >= SAME:
            free[j] = False
            more = float(other.scores[j])
            both = max(weight + more, 1e-9)
            boxes.append((one.boxes[i] * weight + other.boxes[j] * more) / both)
            scores.append((weight + more) / 2)
        else:
            boxes.append(one.boxes[i])
            scores.append(weight / 2)
        classes.append(int(one.classes[i]))
    for j in np.flatnonzero(free).tolist():
        boxes.append(other.boxes[j])
        scores.append(float(other.scores[j]) / 2)
        classes.append(int(other.classes[j]))
    order = np.argsort(-np.array(scores, np.float32), kind="stable")
    whole = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(whole[order], np.array(scores, np.float32)[order], np.array(classes, np.int64)[order])


class Eyes:
    """An opened pack that looks twice, and remembers the tags of the last image."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._tags: dict[str, float] = {}

    def see(self, image: NDArray[np.uint8]) -> Detections:
        """Return what it sees in a BGR `image` ``[H, W, 3]``, in its pixels, best first."""
        straight = self._model.infer(image)
        mirror = self._model.infer(np.ascontiguousarray(image[:, ::-1]))
        self._tags = {}
        if straight.tags is not None and mirror.tags is not None:
            means = (straight.tags + mirror.tags) / 2
            names = self._model.pack.manifest.tags
            self._tags = {name: float(score) for name, score in zip(names, means, strict=False)}
        return merged(straight.detections, unmirrored(mirror.detections, image.shape[1]))

    def tags(self) -> Mapping[str, float]:
        """Return the score 0..1 of each tag on the image last looked at."""
        return self._tags
