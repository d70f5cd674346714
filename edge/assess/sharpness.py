"""Blur without a model: how fast edges turn, at native resolution.

In textured tiles the energy of the second derivative over that of the first falls with blur, whatever the contrast
and content of the picture. Taken along x and y apart, the smaller one also finds motion blur. The flattest tiles
show the sensor's noise, which is taken off; a slight smoothing before keeps grain from passing for detail.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.assess import Score, Verdict
from edge.assess.patches import TILE, patches
from edge.runtime import Inference
from edge.sources import Frame, Image

SMOOTHING = 0.8
"""Standard deviation in pixels; just hides single-pixel noise."""
TEXTURED = 85.0
"""Percentile of first-derivative energy above which a tile says something about sharpness."""
FLAT_SHARE = 0.1
"""Of the tiles, the flattest, taken for noise."""
TYPICAL = 70.0
"""Percentile over the textured tiles: high, so that one sharp subject makes a picture sharp."""
STABLE = 0.5
"""Added to the first-derivative energy (grey levels squared per pixel) so that emptiness is not sharp."""
HALF = 0.25
"""Ratio of energies that counts as half blurred; near a defocus of 1.5 pixels."""
WINDOW = 1280 * 720
"""Pixels looked at. Of larger pictures, a grid of native-resolution patches of this sum."""
WINDOW_LIVE = 384 * 288
"""The same for every frame of a camera, where time counts."""
BLURRED = 0.75
"""Above this the reason is worth a word."""


def tiles(energy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of `energy` squared in each tile, less that of the flattest tiles."""
    size = (max(1, energy.shape[1] // TILE), max(1, energy.shape[0] // TILE))
    return cv2.resize(cv2.multiply(energy, energy), size, interpolation=cv2.INTER_AREA).ravel()  # type: ignore[return-value]


def sharpness(image: Image, window: int = WINDOW) -> float:
    """Return the sharpness of a BGR or grey image, 0..1; higher is sharper, about 0.5 at a defocus of 1.5 pixels."""
    smooth = cv2.GaussianBlur(patches(image, window), (5, 5), SMOOTHING)
    ratios = []
    for x, y in ((1, 0), (0, 1)):
        first = tiles(cv2.Sobel(smooth, cv2.CV_32F, x, y, scale=1 / 8))  # type: ignore[arg-type]
        second = tiles(cv2.Sobel(smooth, cv2.CV_32F, 2 * x, 2 * y, scale=1 / 4))  # type: ignore[arg-type]
        flat = np.argsort(first)[: max(1, int(len(first) * FLAT_SHARE))]
        first, second = (np.maximum(e - np.median(e[flat]), 0.0) for e in (first, second))
        textured = first >= np.percentile(first, TEXTURED)
        ratios.append(float(np.percentile(second[textured] / (first[textured] + STABLE), TYPICAL)))
    ratio = min(ratios)
    return ratio / (ratio + HALF)


class Sharpness:
    """One camera's classical blur. Implements `Score`."""

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return one minus the sharpness of the whole frame."""
        blur = 1.0 - sharpness(frame.image, WINDOW_LIVE)
        return Verdict(blur, f"the picture is blurred ({blur:.2f} of 1)" if blur > BLURRED else "")


class SharpnessKind:
    """Fills `blur` where the pack has no dense blur output."""

    name = "sharpness"
    field = "blur"

    def create(self) -> Score:
        """Return a fresh score."""
        return Sharpness()


SCORE = SharpnessKind()
