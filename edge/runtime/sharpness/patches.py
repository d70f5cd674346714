"""The picture as the scores that look at fine detail see it: grey, at native resolution, and of large ones only a part.

Detail is lost when a picture is made smaller, so patches are cut out instead, spread evenly over the frame.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.runtime.prepare import Image

Grey = NDArray[np.uint8]
"""``[h, w]``, 0..255."""
GREEN = 1
"""Its place in BGR. It stands for grey: it carries most of the light."""
Tiles = NDArray[np.float32]

TILE = 16
"""Side of a tile in pixels, the grain in which detail is measured: several edges wide."""
PATCHES = 3
"""Across and down."""


def patches(image: Image, window: int) -> Grey:
    """Return the green plane of BGR `image` (a grey one as it is), or PATCHES x PATCHES patches of it side by side
    where it is larger than `window` pixels. The sides are whole tiles where there is room for one, so that none is
    mixed."""
    height, width = image.shape[:2]
    scale = (window / (height * width)) ** 0.5
    if parts_of(image, window) == 1:
        return _plane(image[: max(1, height // TILE) * TILE, : max(1, width // TILE) * TILE])
    tall, wide = (min(side, max(1, int(side * scale / PATCHES / TILE)) * TILE) for side in (height, width))
    result = np.empty((PATCHES * tall, PATCHES * wide), np.uint8)
    for row in range(PATCHES):
        top = row * (height - tall) // (PATCHES - 1)
        for column in range(PATCHES):
            left = column * (width - wide) // (PATCHES - 1)
            target = result[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide]
            target[...] = _plane(image[top : top + tall, left : left + wide])
    return result


def parts_of(image: Image, window: int) -> int:
    """Return how many patches across and down `patches` makes of `image`; 1 where it takes all of it."""
    return 1 if image.shape[0] * image.shape[1] <= window else PATCHES


def inside(grid: Tiles, parts: int) -> Tiles:
    """Return a value ``[h, w]`` per tile of `parts` x `parts` patches without their outer tiles: there a patch ends and
    another begins, an edge that no blur takes away. All, where there are too few."""
    rows, columns = grid.shape[0] // parts, grid.shape[1] // parts
    if parts == 1 or min(rows, columns) < 3:
        return grid
    apart = grid.reshape(parts, rows, parts, columns)[:, 1:-1, :, 1:-1]
    return apart.reshape(parts * (rows - 2), parts * (columns - 2))


def _plane(image: Image) -> Grey:
    return image if image.ndim == 2 else np.asarray(cv2.extractChannel(image, GREEN), np.uint8)
