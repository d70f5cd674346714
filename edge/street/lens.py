"""What weather, lens and sensor add to a picture, cheaply: everything random is drawn once and shifted."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.sources import Image
from edge.street.layout import Layout
from edge.street.traffic import Placed

SOFTNESS = 0.55
"""Standard deviation of the lens in pixels when it is in focus."""
SPARE = 64
"""Pixels by which the noise is larger than the picture, so that it can be shifted."""
CLOUD = 0.05
"""Slow change of the brightness, as a share."""
BLOB = 64
"""Pixels across of the glow that all lights are scaled from."""


@cache
def blob() -> NDArray[np.float32]:
    """Return a round glow ``[BLOB, BLOB]``, 1 in its middle."""
    axis = np.linspace(-1, 1, BLOB, dtype=np.float32)
    square = axis[:, None] ** 2 + axis[None] ** 2
    return np.asarray(np.clip(np.exp(-square * 4.5) - np.exp(-4.5), 0, 1), np.float32)


class Lens:
    """Weather, lens and sensor of one camera."""

    def __init__(self, layout: Layout, rain: float, noise: float, defocus: float, shake: float) -> None:
        self._layout, self._rain, self._defocus, self._shake = layout, rain, defocus, shake
        random = np.random.default_rng([layout.seed, 4])
        shape = (layout.height + SPARE, layout.width + SPARE, 3)
        grain = np.asarray(cv2.GaussianBlur(random.normal(0, 1, shape).astype(np.float32), (0, 0), 0.6), np.float32)
        grain = grain * np.float32(noise / max(1e-6, float(grain.std())))
        self._lighter = np.clip(grain, 0, 255).round().astype(np.uint8)
        self._darker = np.clip(-grain, 0, 255).round().astype(np.uint8)
        self._noise = noise
        self._streaks = self._make_rain(random) if rain > 0 else None

    def _make_rain(self, random: np.random.Generator) -> Image:
        height, width = self._layout.height, self._layout.width
        sheet = np.zeros((height + 4 * SPARE, width + 4 * SPARE, 3), np.uint8)
        for _ in range(int(self._rain * 1100 * width * height / 230_400)):
            x, y = int(random.integers(sheet.shape[1])), int(random.integers(sheet.shape[0]))
            length, bright = float(random.uniform(6, 22)) * height / 360, int(random.integers(14, 62))
            cv2.line(sheet, (x, y), (int(x - 0.18 * length), int(y + length)), (bright, bright, bright), 1)
        return np.asarray(cv2.GaussianBlur(sheet, (3, 3), 0), np.uint8)

    def glow(
        self, image: Image, x: float, y: float, radius: float, colour: tuple[float, float, float], tall: float = 1.0
    ) -> None:
        """Add a round glow (`tall` times as high) around a point."""
        wide, high = max(2, int(radius)), max(2, int(radius * tall))
        left, top = int(x) - wide, int(y) - high
        x1, y1 = max(0, left), max(0, top)
        x2, y2 = min(image.shape[1], left + 2 * wide), min(image.shape[0], top + 2 * high)
        if x1 >= x2 or y1 >= y2:
            return
        shape = cv2.resize(blob(), (2 * wide, 2 * high))[y1 - top : y2 - top, x1 - left : x2 - left]
        part = image[y1:y2, x1:x2]
        added = shape[..., None] * np.array(colour, np.float32)
        part[:] = cv2.add(part, added.astype(np.uint8))

    def lights(
        self, image: Image, vehicles: list[tuple[Placed, list[tuple[NDArray[np.float64], bool]]]], day: float
    ) -> None:
        """Add head and tail lamps, and on a wet road their reflections."""
        strength = 1.0 - day
        for placed, lamps in vehicles:
            metre = self._layout.focal / placed.z
            for (x, y), front in lamps:
                colour = (205, 225, 235) if front else (30, 24, 190)
                lit = (colour[0] * strength, colour[1] * strength, colour[2] * strength)
                self.glow(image, x, y, max(3.0, (0.75 if front else 0.42) * metre), lit)
                if front:
                    self.glow(
                        image, x, y + 0.9 * metre, 1.6 * metre, (52 * strength, 62 * strength, 66 * strength), 0.45
                    )
                if self._rain > 0.1:
                    wet = 0.4 * self._rain
                    self.glow(image, x, y + 1.3 * metre, 0.5 * metre, (lit[0] * wet, lit[1] * wet, lit[2] * wet), 2.6)

    def finish(self, image: Image, t: float) -> tuple[Image, tuple[float, float]]:
        """Return the picture as the sensor sees it, and by how many pixels a shaking mast moved it (x, y)."""
        random = np.random.default_rng([self._layout.seed, 5, round(t * 1000)])
        height, width = image.shape[:2]
        shift = (0.0, 0.0)
        if self._shake > 0:
            move = random.normal(0, self._shake, 2)
            shift = (float(move[0]), float(move[1]))
            matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
            image = np.asarray(
                cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
            )
        if self._streaks is not None:
            y, x = random.integers(0, 4 * SPARE, 2)
            image = np.asarray(cv2.add(image, self._streaks[y : y + height, x : x + width]), np.uint8)
        sigma = float(np.hypot(SOFTNESS, self._defocus))
        size = 3 if sigma < 0.8 else 0
        image = np.asarray(cv2.GaussianBlur(image, (size, size), sigma), np.uint8)
        if self._noise > 0:
            y, x = random.integers(0, SPARE, 2)
            image = np.asarray(cv2.add(image, self._lighter[y : y + height, x : x + width]), np.uint8)
            y, x = random.integers(0, SPARE, 2)
            image = np.asarray(cv2.subtract(image, self._darker[y : y + height, x : x + width]), np.uint8)
        gain = 1.0 + CLOUD * float(np.sin(t * 0.21 + self._layout.seed))
        return np.asarray(cv2.convertScaleAbs(image, alpha=gain), np.uint8), shift
