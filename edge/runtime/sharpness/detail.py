"""Blur without a model: how much fine detail there is for the coarse structure that is there, at native resolution.

Blur takes the more of a spatial frequency the higher it is. So the energy of the second derivative, over that of the
first derivative of a much smoothed picture, falls with every further blur, whatever the content; the light cancels.
Taken at native resolution and at half of it: where the finer is lost in the grain and rounding of an entirely blurred
picture, the coarser still tells more blur from less. Of the two directions the blurrier counts, which finds motion
blur. The flattest tiles show the sensor's noise, which is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.runtime.prepare import Image
from edge.runtime.sharpness.patches import TILE, inside, parts_of, patches

RICH: Final = 0.15
"""Share of the tiles, those with most detail, whose mean counts: a few sharp things make a picture sharp."""
FLAT: Final = 0.1
"""Of the tiles, the flattest, taken for noise."""
STABLE: Final = 0.5
"""Added to the coarse energy (grey levels squared per pixel) so that emptiness is not sharp."""
WINDOW: Final = 1280 * 720
"""Pixels looked at. Of larger pictures, a grid of native-resolution patches of this sum."""


@dataclass(frozen=True)
class Scale:
    """One size at which detail is looked at."""

    shrink: int
    """Pixels of the picture per pixel."""
    smoothing: float
    """Standard deviation in those pixels; just hides single-pixel noise."""
    coarse: float
    """The same, in pixels of a quarter of the picture, of the structure that the detail is compared with."""
    half: float
    """Ratio of the energies that counts as half blurred: that of the usual photograph at a defocus of 1.5 pixels."""


SCALES: Final = (Scale(1, 0.8, 1.25, 0.045), Scale(2, 1.2, 2.0, 0.15))
QUARTER: Final = 4

Plane = NDArray[np.float32]
"""``[h, w]``, grey levels."""


def shrunk(plane: Plane, by: int) -> Plane:
    """Return `plane` with a pixel for every `by` x `by`; none becomes less than one."""
    size = (max(1, plane.shape[1] // by), max(1, plane.shape[0] // by))
    return plane if by == 1 else np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def smoothed(plane: Plane, deviation: float) -> Plane:
    """Return `plane` after a Gaussian filter."""
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), deviation), np.float32)


def tiles(energy: Plane, side: int, parts: int) -> Plane:
    """Return the mean ``[n]`` of `energy` in each tile of `side` pixels, of a picture of `parts` x `parts` patches."""
    return inside(shrunk(energy, side), parts).ravel()


def richest(energy: Plane) -> float:
    """Return the mean of the greatest of `energy`."""
    count = max(1, int(len(energy) * RICH))
    return float(np.partition(energy, len(energy) - count)[-count:].mean())


def ratio(plane: Plane, quarter: Plane, scale: Scale, parts: int) -> float:
    """Return the fine energy of `plane` at `scale`, over the coarse one of its `quarter`."""
    fine, rough = smoothed(shrunk(plane, scale.shrink), scale.smoothing), smoothed(quarter, scale.coarse)
    across, down = (cv2.Sobel(rough, cv2.CV_32F, x, y, scale=1 / 8) for x, y in ((1, 0), (0, 1)))
    both: Any = cv2.add(cv2.multiply(across, across), cv2.multiply(down, down))
    coarse = richest(tiles(both, TILE // QUARTER, parts))
    found = []
    for x, y in ((2, 0), (0, 2)):
        second: Any = cv2.Sobel(fine, cv2.CV_32F, x, y, scale=1 / 4)
        energy = tiles(np.asarray(cv2.multiply(second, second), np.float32), TILE // scale.shrink, parts)
        noise = float(np.partition(energy, int(FLAT * len(energy)))[int(FLAT * len(energy))])
        found.append(max(0.0, richest(energy) - noise))
    return min(found) / (coarse + STABLE)


def sharpness(image: Image, window: int = WINDOW) -> float:
    """Return the sharpness of a BGR or grey image, 0..1; higher is sharper, about 0.5 at a defocus of 1.5 pixels."""
    plane = patches(image, window).astype(np.float32)
    parts, quarter = parts_of(image, window), shrunk(plane, QUARTER)
    ratios = [(ratio(plane, quarter, scale, parts), scale.half) for scale in SCALES]
    return sum(value / (value + half) for value, half in ratios) / len(ratios)


class Detail:
    """The measure that nodes use where a pack has no blur output."""

    name = "detail"

    def score(self, image: Image) -> float:
        """Return `sharpness`, 0..1."""
        return sharpness(image)


METHOD = Detail()
