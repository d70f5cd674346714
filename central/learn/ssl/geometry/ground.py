"""The order of depth that a fixed camera gives away: feet on the ground plane, and who hides whom.

For an upright camera above a plane, a thing whose feet are at row y is as many pixels high as y - horizon, times its
own height over the camera's; and its depth is as 1 / (y - horizon). So boxes draw a line through the horizon, and lower
feet are nearer.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Boxes = NDArray[np.float64]
"""``[N, 4]`` xyxy."""
TOLERANCE: Final = 2.5
"""A box more than this many times higher or lower than its place on the ground allows is not on the ground, or cut."""
FEWEST: Final = 8
"""Boxes that a line is fitted to."""
CANDIDATES: Final = 200
"""Horizons that are tried."""


class Ground(NamedTuple):
    """Where the ground plane of one camera vanishes, and how high things on it are."""

    horizon: float
    """Row, in the unit of the boxes; it may lie above the picture."""
    slopes: dict[int, float]
    """Pixels of height per row below the horizon, of each class."""
    spread: float
    """Median of |log height - log expected|: 0.3 and less is a good fit."""

    def nearness(self, feet: Floats) -> Floats:
        """Return 1 / depth of things with `feet` ``[N]``, up to scale; 0 at the horizon and above."""
        return np.maximum(feet - self.horizon, 0.0)

    def fits(self, boxes: Boxes, labels: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
        """Return which of `boxes` ``[N, 4]`` stand on the ground as their height says: bool ``[N]``."""
        labels = np.zeros(len(boxes), np.int64) if labels is None else labels
        slope = np.array([self.slopes.get(int(label), np.nan) for label in labels])
        expected = slope * self.nearness(boxes[:, 3])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (boxes[:, 3] - boxes[:, 1]) / expected
            return np.isfinite(ratio) & (ratio < TOLERANCE) & (ratio > 1 / TOLERANCE)


def fit(boxes: Boxes, labels: NDArray[np.int64] | None = None) -> Ground | None:
    """Return the ground that `boxes` ``[N, 4]`` of one camera stand on, or None where they are too few or all in a row.

    Robust: the horizon whose lines, one per class of `labels` ``[N]``, leave the least median of |log ratio|.
    """
    if len(boxes) < FEWEST:
        return None
    labels = np.zeros(len(boxes), np.int64) if labels is None else labels
    feet, heights = boxes[:, 3], np.maximum(boxes[:, 3] - boxes[:, 1], 1e-6)
    span = float(np.ptp(feet))
    if span < 0.5 * float(np.median(heights)):
        return None
    low = float(np.quantile(feet, 0.02))
    best: Ground | None = None
    for horizon in low - span * np.geomspace(0.01, 4.0, CANDIDATES):
        ratio = np.log(heights) - np.log(np.maximum(feet - horizon, 1e-6))
        slopes = {int(label): float(np.median(ratio[labels == label])) for label in np.unique(labels)}
        left = np.abs(ratio - np.array([slopes[int(label)] for label in labels]))
        spread = float(np.median(left))
        if best is None or spread < best.spread:
            best = Ground(float(horizon), {k: float(np.exp(v)) for k, v in slopes.items()}, spread)
    return best


def nearer(boxes: Boxes, margin: float, bottom: float = np.inf) -> NDArray[np.bool_]:
    """Return which of `boxes` ``[N, 4]`` are nearer than which: bool ``[N, N]``, by feet at least `margin` apart.

    A box that reaches `bottom` is cut there: it is nearer than all whose feet are seen, and unknown against its like.
    """
    feet = boxes[:, 3]
    cut = feet >= bottom
    return (feet[:, None] > feet[None] + margin) & ~(cut[:, None] & cut[None])


def occluding(first: Boxes, second: Boxes) -> int:
    """Return which of two tracks ``[T, 4]`` hides the other where their boxes overlap: 0, 1, or -1 for unknown.

    The height of the hidden one is cut while they overlap, against what it is (on the line) before and after; the one
    in front keeps its own. Both must be seen apart at least twice.
    """
    wide = np.minimum(first[:, 2], second[:, 2]) - np.maximum(first[:, 0], second[:, 0])
    high = np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 1], second[:, 1])
    together = (wide > 0) & (high > 0)
    if together.sum() < 1 or (~together).sum() < 2:
        return -1
    lost = []
    for track in (first, second):
        time = np.arange(len(track), dtype=np.float64)
        area = np.sqrt(np.maximum((track[:, 2] - track[:, 0]) * (track[:, 3] - track[:, 1]), 1e-9))
        line = np.polyfit(time[~together], area[~together], 1)
        lost.append(float(np.mean(1 - area[together] / np.maximum(np.polyval(line, time[together]), 1e-9))))
    if abs(lost[0] - lost[1]) < 0.05:
        return -1
    return 0 if lost[0] < lost[1] else 1
