"""Tenengrad (Krotkov, 1988): mean energy of the gradient."""

from __future__ import annotations

import cv2
import numpy as np

from edge.runtime.prepare import Image
from edge.runtime.sharpness.grey import grey


class Tenengrad:
    """mean(Gx^2 + Gy^2) of Sobel's gradient."""

    name = "tenengrad"

    def score(self, image: Image) -> float:
        """Return the mean."""
        plane = grey(image)
        across, down = (cv2.Sobel(plane, cv2.CV_32F, x, y) for x, y in ((1, 0), (0, 1)))
        return float(np.mean(across * across + down * down))


METHOD = Tenengrad()
