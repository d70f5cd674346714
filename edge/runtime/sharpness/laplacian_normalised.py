"""Variance of the Laplacian over that of the picture, so that contrast cancels."""

from __future__ import annotations

import cv2

from edge.runtime.prepare import Image
from edge.runtime.sharpness.grey import grey


class NormalisedLaplacian:
    """Var(laplacian I) / Var(I)."""

    name = "laplacian-normalised"

    def score(self, image: Image) -> float:
        """Return the ratio; 0 of an empty picture."""
        plane = grey(image)
        return float(cv2.Laplacian(plane, cv2.CV_32F).var() / max(1e-6, float(plane.var())))


METHOD = NormalisedLaplacian()
