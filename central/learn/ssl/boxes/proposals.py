"""What stands out of one picture: regions without edges inside and with edges around them, at several scales.

    picture -> gradient of its colours -> what lies below a level of it, for several levels -> connected parts -> boxes
    -> ranked by edges around against edges inside -> without overlaps

A bottom-up grouping in the spirit of Selective Search (Uijlings et al., IJCV 2013) and Edge Boxes (Zitnick and Dollar,
ECCV 2014), at a hundredth of their cost: good enough to say where something is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.learn.data import Pixels
from central.learn.ssl.boxes import Found, Report, Wish
from central.learn.ssl.material import Stock
from edge.runtime.nms import suppress

SIDE: Final = 256
"""Pixels of the longer side of what is looked at."""
LEVELS: Final = (50.0, 65.0, 78.0, 88.0)
"""Percentiles of the gradient, below which pixels are of one region; also above it, for things full of edges."""
SMALLEST: Final = 0.002
"""Share of the frame's area."""
LARGEST: Final = 0.5
LONGEST: Final = 3.0
SAME: Final = 0.5
MOST: Final = 16


def gradient(image: Pixels) -> NDArray[np.float32]:
    """Return the strength of colour edges of BGR `image`, ``[H, W]``, smoothed."""
    lab = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2LAB), (0, 0), 1.2)
    steps = [cv2.Sobel(lab, cv2.CV_32F, dx, dy) for dx, dy in ((1, 0), (0, 1))]
    return np.asarray(np.sqrt(sum(s * s for s in steps)).max(axis=2), np.float32)


def _parts(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return x, y, width, height ``[N, 4]`` of the connected parts of `mask` that may be things."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    boxes = stats[1:count, :4].astype(np.float64)
    area = boxes[:, 2] * boxes[:, 3]
    good = (area >= SMALLEST * mask.size) & (area <= LARGEST * mask.size)
    good &= boxes[:, 2:].max(axis=1, initial=0) <= LONGEST * boxes[:, 2:].min(axis=1, initial=1e9)
    return np.asarray(boxes[good & (stats[1:count, 4] >= 0.3 * area)], np.float64)


def _mean(table: NDArray[np.float64], boxes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sum and area of each of `boxes` ``[N, 4]`` xyxy in the integral image `table`."""
    height, width = table.shape[0] - 1, table.shape[1] - 1
    x1, y1, x2, y2 = boxes.T
    x1, x2, y1, y2 = x1.clip(0, width), x2.clip(0, width), y1.clip(0, height), y2.clip(0, height)
    total = table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]
    return total, np.maximum((x2 - x1) * (y2 - y1), 1).astype(np.float64)


def propose(image: Pixels) -> NDArray[np.float32]:
    """Return up to MOST boxes ``[N, 4]`` (shares 0..1) of what may be things on BGR `image`, the best first."""
    scale = min(1.0, SIDE / max(image.shape[:2]))
    size = max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale))
    edges = gradient(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))
    found = [_parts(edges < level) for level in np.percentile(edges, LEVELS)]
    found += [_parts(cv2.dilate((edges > level).astype(np.uint8), np.ones((3, 3))) > 0)
              for level in np.percentile(edges, LEVELS[1:])]  # fmt: skip
    xywh = np.concatenate(found)
    if not len(xywh):
        return np.zeros((0, 4), np.float32)
    boxes = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), 1).astype(np.int64)
    table = np.asarray(cv2.integral(edges), np.float64)
    rim = np.maximum(2, 0.12 * xywh[:, 2:].mean(axis=1)).astype(np.int64)[:, None]
    grow = np.concatenate((-rim, -rim, rim, rim), 1)
    outer, inner = _mean(table, boxes + grow), _mean(table, boxes - grow)
    around = (outer[0] - inner[0]) / np.maximum(outer[1] - inner[1], 1)
    inside = inner[0] / inner[1]
    score = np.asarray(around / (around + inside + 1.0) * np.sqrt(np.sqrt(inner[1])), np.float32)
    kept = suppress(boxes.astype(np.float32), score, np.zeros(len(boxes), np.int64), SAME, MOST)
    return np.asarray((boxes[kept] / np.array([*size, *size])).clip(0, 1), np.float32)


class Proposals:
    """The member."""

    name = "proposals"
    certain = False

    def find(self, stock: Stock, frames: Sequence[int], wish: Wish, report: Report) -> Found:
        """Return what stands out of each of `frames`."""
        found: Found = {}
        for done, frame in enumerate(frames):
            image = stock.read(frame)
            if image is not None:
                found[frame] = propose(image)
            report(done)
        return found


BOXES = Proposals()
