"""The perceptual blur metric of Crete et al. (SPIE 2007): what a picture loses by being blurred again.

A sharp picture loses much of its variation between neighbours, a blurred one little.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge.runtime.prepare import Image
from edge.runtime.sharpness.grey import Plane, grey

TAPS: Final = 11
"""Pixels over which is averaged, along one axis at a time."""


def along(plane: Plane, across: bool) -> float:
    """Return the blur of `plane` along one axis, 0 (sharp) to 1."""
    again = cv2.blur(plane, (TAPS, 1) if across else (1, TAPS), borderType=cv2.BORDER_REFLECT)
    order = (1, 0) if across else (0, 1)
    before, after = (
        np.abs(cv2.Sobel(p, cv2.CV_32F, *order, borderType=cv2.BORDER_REFLECT))[2:-1, 2:-1] for p in (plane, again)
    )
    whole = float(before.sum(dtype=np.float64))
    lost = float(np.maximum(0, before - after).sum(dtype=np.float64))
    return abs(whole - lost) / whole if whole else 1.0


def blur(image: Image) -> float:
    """Return the blur of `image`, 0 (sharp) to 1: that of the blurrier axis."""
    plane = grey(image)
    return max(along(plane, True), along(plane, False))


class Crete:
    """One minus the blur."""

    name = "crete"

    def score(self, image: Image) -> float:
        """Return the sharpness, 0..1."""
        return 1.0 - blur(image)


METHOD = Crete()
