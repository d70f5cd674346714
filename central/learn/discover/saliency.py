"""What stands out of a picture: the colours that cannot be reached from its border without a step.

    superpixels -> mean colours -> the shortest way to the border, in steps of colour -> 0..1 per pixel

Geodesic saliency (Wei et al., "Geodesic saliency using background priors", ECCV 2012): what is photographed is seldom
cut off by the border, and its surroundings are mostly connected to it. Bars around a picture are not part of it.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix  # type: ignore[import-untyped,unused-ignore]
from scipy.sparse.csgraph import dijkstra  # type: ignore[import-untyped,unused-ignore]

from edge.runtime import Float
from edge.runtime.prepare import Image

BAR: Final = 12
"""Grey level below which a row or column all over is a bar."""
FILLED: Final = 0.02
"""Share of its pixels that must be lighter, for one that is not."""
SPREAD: Final = 0.75
"""Power of the distances: below 1, so that weakly coloured parts of what stands out count with it."""
AROUND: Final = 0.35
"""Width of the ring that the colours of a box are compared with, as a share of its sides."""
LEVELS: Final = 8
"""Per channel, of the colours that are compared."""
NEAR: Final = 1e-3
"""Cost of any step: of two ways without a change the shorter counts."""


def content(image: Image) -> tuple[int, int, int, int]:
    """Return x1, y1, x2, y2 of what is between black bars, in pixels; the whole image where it is all dark."""
    light = image.max(axis=2) > BAR
    rows, columns = np.flatnonzero(light.mean(1) > FILLED), np.flatnonzero(light.mean(0) > FILLED)
    if not len(rows) or not len(columns):
        return 0, 0, image.shape[1], image.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def touching(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the pairs ``[P, 2]`` of labels ``[H, W]`` that lie side by side."""
    count = int(labels.max()) + 1
    found = []
    for a, b in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        apart = a != b
        found.append(np.unique(a[apart].astype(np.int64) * count + b[apart]))
    pairs = np.unique(np.concatenate(found))
    return np.stack([pairs // count, pairs % count], axis=1)


def geodesic(image: Image, labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return how far each pixel of a BGR `image` is from the border ``[H, W]``, 0..1; labels ``[H, W]`` from 0."""
    count = int(labels.max()) + 1
    flat, lab = labels.reshape(-1), cv2.cvtColor(image, cv2.COLOR_BGR2LAB).astype(np.float32)
    size = np.maximum(np.bincount(flat, minlength=count), 1)
    mean = np.stack([np.bincount(flat, lab[:, :, c].reshape(-1), count) / size for c in range(3)], axis=1)
    pairs = touching(labels)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    steps = np.linalg.norm(mean[pairs[:, 0]] - mean[pairs[:, 1]], axis=1) + NEAR
    rows = np.concatenate([pairs[:, 0], np.full(len(border), count)])
    columns = np.concatenate([pairs[:, 1], border])
    cost = np.concatenate([steps, np.full(len(border), NEAR)])
    graph = coo_matrix((cost, (rows, columns)), (count + 1, count + 1)).tocsr()
    far = dijkstra(graph, directed=False, indices=count)[:count]
    far = np.where(np.isfinite(far), far, 0.0)
    far = (far - far.min()) / max(float(np.ptp(far)), 1e-6)
    return np.asarray((far**SPREAD)[labels], np.float32)


def agreement(saliency: NDArray[np.float32], boxes: Float) -> Float:
    """Return how well each of `boxes` ``[N, 4]`` (xyxy, pixels) holds what stands out ``[H, W]`` and nothing else.

    The soft IoU 0..1: what of it is inside, over the area of the box and what is outside it.
    """
    height, width = saliency.shape
    sums = np.pad(saliency.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    x1, y1, x2, y2 = boxes.round().astype(np.int64).T
    x1, x2, y1, y2 = x1.clip(0, width), x2.clip(0, width), y1.clip(0, height), y2.clip(0, height)
    inside = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    area = np.maximum((x2 - x1) * (y2 - y1), 1)
    return np.asarray(inside / np.maximum(area + sums[-1, -1] - inside, 1e-6), np.float32)


def contrast(image: Image, boxes: Float) -> Float:
    """Return how much the colours in each of `boxes` ``[N, 4]`` differ from those right around it, 0..1.

    Colour contrast of Alexe, Deselaers and Ferrari, "What is an object?", CVPR 2010.
    """
    height, width = image.shape[:2]
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB) // (256 // LEVELS)
    planes = np.concatenate([np.eye(LEVELS, dtype=np.float32)[lab[:, :, c]] for c in range(3)], axis=2)
    sums = np.zeros((height + 1, width + 1, planes.shape[2]), np.float32)
    sums[1:, 1:] = planes.cumsum(0).cumsum(1)

    def total(found: Float) -> Float:
        x1, y1, x2, y2 = found.round().astype(np.int64).T
        x1, x2, y1, y2 = x1.clip(0, width), x2.clip(0, width), y1.clip(0, height), y2.clip(0, height)
        return np.asarray(sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1], np.float32)

    grow = AROUND * (boxes[:, 2:] - boxes[:, :2]) / 2
    inside = total(boxes)
    ring = total(np.concatenate([boxes[:, :2] - grow, boxes[:, 2:] + grow], axis=1)) - inside
    inside, ring = (v / np.maximum(v.sum(1, keepdims=True), 1) for v in (inside, ring))
    return np.asarray(np.abs(inside - ring).sum(1) / 2, np.float32)
