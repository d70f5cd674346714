"""Frames of one camera by what it looks at: a camera that is turned (or mirrored) shows another background.

    frames -> horizontal edges of their light, coarse -> likeness, each relative to a frame's nearest -> average linkage

Edges from left to right change their sign in a mirror, and light that grows or fades scales them all alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage  # type: ignore[import-untyped,unused-ignore]

from central.learn.data import Pixels

SIZE: Final = (320, 180)
"""Pixels (width, height) to which a frame is scaled."""
SMOOTH: Final = 3.0
"""Pixels: what is finer moves."""
STEP: Final = 3
"""Every so-many-th pixel along each side tells enough then."""
DARK: Final = 8.0
"""Grey levels added before the logarithm: below it there is only noise."""
STRONGEST: Final = 90.0
"""Percentile of the edges, at which they are clipped: a few must not decide."""
NEAREST: Final = 2
"""Frames that tell how alike two of one pose are."""
LEAST_TOP: Final = 0.05
APART: Final = 0.5
"""Two poses are at most so alike, as a share of how alike frames of one are."""


def signature(image: Pixels) -> NDArray[np.float32]:
    """Return the horizontal edges of BGR `image`, ``[N]``, unit length (zero where it has none)."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), SIZE, interpolation=cv2.INTER_AREA)
    light = cv2.GaussianBlur(np.log(cv2.medianBlur(grey, 5).astype(np.float32) + DARK), (0, 0), SMOOTH)
    edges = cv2.Sobel(light, cv2.CV_32F, 1, 0)[::STEP, ::STEP].ravel()
    strong = np.abs(edges)
    most = float(np.percentile(strong, STRONGEST))
    if not most and strong.any():  # a night without noise, a picture mostly masked
        most = float(np.percentile(strong[strong > 0], STRONGEST))
    edges = edges.clip(-most, most)
    return np.asarray(edges / max(float(np.linalg.norm(edges)), 1e-6), np.float32)


def of(images: Sequence[Pixels]) -> list[NDArray[np.int64]]:
    """Return the indices of `images` (BGR, of one camera) by pose, the largest first."""
    count = len(images)
    if count <= NEAREST:
        return [np.arange(count)] if count else []
    points = np.stack([signature(image) for image in images])
    alike = points @ points.T
    others = alike - 2 * np.eye(count)
    top = np.sort(others, axis=1)[:, -NEAREST:].mean(axis=1).clip(LEAST_TOP)
    relative = alike / np.sqrt(top[:, None] * top[None])
    far = (1 - relative[np.triu_indices(count, 1)]).clip(0, 2)
    numbers = fcluster(linkage(far, "average"), APART, "distance")
    groups = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    return sorted(groups, key=len, reverse=True)
