"""Blur of known strength, as a camera makes it: light is spread before it is measured, noise and JPEG come after.

    picture -> linear light -> kernel (Gaussian, defocus disc, straight or shaken motion) -> less light -> noise
            -> sRGB, 8 bits -> JPEG

Kernels of one strength have the same second moment, whatever their kind: `sigma` is the standard deviation in pixels
along each axis (of motion, the root of the mean over both axes), so strengths of different kinds can be ordered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""``[H, W]`` or ``[H, W, 3]``, 0..255, sRGB."""
Kernel = NDArray[np.float32]
"""``[k, k]``, k odd, sums to 1."""
Light = NDArray[np.float32]
"""As Picture, linear, 0..1."""

GAMMA: Final = 2.2
LEAST: Final = 0.05
"""Pixels; a weaker kernel changes nothing."""
KNOTS: Final = 4
"""Points that the path of a shaken camera goes through."""
_LINEAR: Final = ((np.arange(256) / 255.0) ** GAMMA).astype(np.float32)


def gaussian(sigma: float, random: Generator) -> Kernel:
    """Return a Gaussian kernel."""
    side = 2 * max(1, int(np.ceil(3 * sigma))) + 1
    line = cv2.getGaussianKernel(side, sigma, cv2.CV_32F)
    return np.asarray(line @ line.T, np.float32)


def defocus(sigma: float, random: Generator) -> Kernel:
    """Return a disc, as a lens out of focus gives: of radius r, its standard deviation is r / 2 along each axis."""
    radius = 2 * sigma
    reach = np.arange(-int(np.ceil(radius)) - 1, int(np.ceil(radius)) + 2)
    disc = np.clip(radius + 0.5 - np.hypot(reach[:, None], reach[None]), 0, 1)
    return np.asarray(disc / disc.sum(), np.float32)


def _traced(points: NDArray[np.float64], sigma: float) -> Kernel:
    """Return the kernel of light that moves evenly through `points` ``[n, 2]``, scaled to `sigma`."""
    points = points - points.mean(axis=0)
    points *= sigma / max(1e-6, float(np.sqrt((points**2).sum(axis=1).mean() / 2)))
    half = int(np.ceil(np.abs(points).max())) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    low = np.floor(points).astype(np.int64)
    part = points - low
    for x, y in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(1 - x - part[:, 0]) * np.abs(1 - y - part[:, 1])
        np.add.at(kernel, (low[:, 1] + y + half, low[:, 0] + x + half), weight)
    return np.asarray(kernel / kernel.sum(), np.float32)


def motion(sigma: float, random: Generator) -> Kernel:
    """Return a straight line at a random angle."""
    angle, along = random.uniform(0, np.pi), np.linspace(-1, 1, 256)
    return _traced(np.stack((along * np.cos(angle), along * np.sin(angle)), axis=1), sigma)


def shake(sigma: float, random: Generator) -> Kernel:
    """Return the curve of a camera held by hand: a smooth path through random points."""
    knots = np.cumsum(random.normal(size=(KNOTS, 2)) + random.normal(size=2), axis=0)
    at = np.linspace(0, KNOTS - 1, 256)
    path = np.stack([np.polyval(np.polyfit(np.arange(KNOTS), knots[:, i], KNOTS - 1), at) for i in (0, 1)], axis=1)
    return _traced(path, sigma)


KERNELS: Final[dict[str, Callable[[float, Generator], Kernel]]] = {
    "gaussian": gaussian, "defocus": defocus, "motion": motion, "shake": shake,
}  # fmt: skip


def linear(picture: Picture) -> Light:
    """Return the light that `picture` shows."""
    return _LINEAR[picture]


def spread(light: Light, kernel: Kernel | None) -> Light:
    """Return `light` through `kernel`; as it is without one."""
    if kernel is None:
        return light
    return np.asarray(cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


@dataclass(frozen=True)
class Sensor:
    """What happens to light after the lens. `gain`: share of the light that is left; `noise`: standard deviation of a
    white picture in grey levels (shot noise) with a quarter of it everywhere (read noise); `jpeg`: quality, 0 is none;
    `bright`: whether less light is amplified to the old level, with its noise."""

    gain: float = 1.0
    noise: float = 0.0
    jpeg: int = 0
    bright: bool = False


def sense(light: Light, sensor: Sensor, random: Generator) -> Picture:
    """Return the picture that `sensor` makes of `light`."""
    seen = light * sensor.gain
    if sensor.noise:
        shot = sensor.noise / 255.0 * 2
        deviation = np.sqrt(shot**2 * np.maximum(seen, 0) + (shot / 8) ** 2)
        seen = seen + deviation * random.standard_normal(seen.shape, np.float32)
    if sensor.bright:
        seen = seen / sensor.gain
    picture = np.rint(255 * np.clip(seen, 0, 1) ** np.float32(1 / GAMMA)).astype(np.uint8)
    return compressed(picture, sensor.jpeg) if sensor.jpeg else picture


def compressed(picture: Picture, quality: int) -> Picture:
    """Return `picture` after JPEG at `quality`."""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


def blurred(picture: Picture, kind: str, sigma: float, random: Generator, sensor: Sensor | None = None) -> Picture:
    """Return `picture` blurred by `sigma` pixels of `kind` (a key of KERNELS) and seen by `sensor`."""
    kernel = KERNELS[kind](sigma, random) if sigma > LEAST else None
    return sense(spread(linear(picture), kernel), sensor or Sensor(), random)


def shrunk(picture: Picture, by: float) -> Picture:
    """Return `picture` with `by` times fewer pixels along each side: of lower resolution, and sharper for it."""
    size = (max(1, round(picture.shape[1] / by)), max(1, round(picture.shape[0] / by)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
