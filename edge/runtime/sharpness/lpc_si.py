"""LPC-SI (Hassen, Wang & Salama, IEEE TIP 2013): how well the phases of neighbouring scales agree.

At a sharp edge the local phase is the same at all scales, so that of a coarser one follows from two finer ones; blur
takes the agreement away. Log-Gabor filters of three scales and eight directions; the places that agree best count.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime.prepare import Image
from edge.runtime.sharpness.grey import Plane, grey, windows

SCALES: Final = (1.0, 1.5, 2.0)
PHASES: Final = (1.0, -3.0, 2.0)
"""Weights of the phases at SCALES that cancel at an ideal edge."""
FINEST: Final = 0.4
"""Cycles per pixel of the finest filter."""
BAND: Final = 0.33
"""Ratio of deviation and centre of a filter's band, as a logarithm."""
DIRECTIONS: Final = 8
STABLE: Final = 2.0
"""Grey levels added to the energy of a place, so that emptiness does not agree."""
RANK: Final = 1e-4
"""How fast the weight falls with the rank of a place."""
WINDOW, MOST = 512, 3
"""Pixels of a window, and how many across and down of a large picture."""

Filters = NDArray[np.float32]


@cache
def filters(height: int, width: int) -> Filters:
    """Return the log-Gabor filters ``[scales, directions, height, width]`` in the frequency plane."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    radius, angle = np.hypot(down, across), np.arctan2(-down, across)
    radius[0, 0] = 1.0
    found = np.empty((len(SCALES), DIRECTIONS, height, width), np.float32)
    for i, scale in enumerate(SCALES):
        radial = np.exp(-(np.log(radius * scale / FINEST) ** 2) / (2 * np.log(BAND) ** 2))
        radial[0, 0] = 0.0
        for j in range(DIRECTIONS):
            apart = angle - j * np.pi / DIRECTIONS
            apart = np.arctan2(np.sin(apart), np.cos(apart))
            found[i, j] = radial * np.exp(-(apart**2) / (2 * (np.pi / DIRECTIONS / 1.5) ** 2))
    return found


def coherence(plane: Plane) -> NDArray[np.float64]:
    """Return the agreement of phases ``[h, w]`` at each place of `plane`."""
    spectrum, bank = np.fft.fft2(plane), filters(*plane.shape)
    agreed, energy = np.zeros(plane.shape), np.full(plane.shape, STABLE)
    for j in range(DIRECTIONS):
        answers = [np.fft.ifft2(spectrum * bank[i, j]) for i in range(len(SCALES))]
        phase = sum(weight * np.angle(a) for weight, a in zip(PHASES, answers, strict=True))
        strength = np.abs(answers[0])
        agreed += strength * np.cos(phase)
        energy += strength
    return np.asarray(agreed / energy, np.float64)


def pooled(places: NDArray[np.float64]) -> float:
    """Return the mean of `places`, the best ones counting most."""
    ranked = np.sort(places.ravel())[::-1]
    weights = np.exp(-np.arange(len(ranked)) / max(1, len(ranked) - 1) / RANK)
    return float((ranked * weights).sum() / weights.sum())


class LpcSi:
    """Sharpness index by local phase coherence."""

    name = "lpc-si"

    def score(self, image: Image) -> float:
        """Return the index, up to 1: the mean over windows."""
        return float(np.mean([pooled(coherence(part)) for part in windows(grey(image), WINDOW, MOST)]))


METHOD = LpcSi()
