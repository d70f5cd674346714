"""The picture as the classical measures see it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.runtime.prepare import Image

Plane = NDArray[np.float32]
"""``[h, w]``, grey levels 0..255."""


def grey(image: Image) -> Plane:
    """Return the luma of a BGR `image`, a grey one as it is."""
    flat = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.asarray(flat, np.float32)


def windows(plane: Plane, side: int, most: int) -> Iterator[Plane]:
    """Yield up to `most` x `most` squares of `side` pixels, spread evenly; the whole of what is smaller than one."""
    height, width = plane.shape
    rows, columns = (np.unique(np.linspace(0, max(0, n - side), min(most, -(-n // side))).astype(int)) for n in
                     (height, width))  # fmt: skip
    for top in rows:
        for left in columns:
            yield plane[top : top + side, left : left + side]
