"""Variance of the Laplacian (Pech-Pacheco et al., ICPR 2000): how much there is at the highest frequencies.

Texture, contrast and noise raise it as well.
"""

from __future__ import annotations

import cv2

from edge.runtime.prepare import Image
from edge.runtime.sharpness.grey import grey


class Laplacian:
    """Var(laplacian I), grey levels squared."""

    name = "laplacian"

    def score(self, image: Image) -> float:
        """Return the variance."""
        return float(cv2.Laplacian(grey(image), cv2.CV_32F).var())


METHOD = Laplacian()
