"""Windows of a fixed set of sizes and shapes, laid over the image: the floor that every other way must beat."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from central.learn.discover.proposals import Boxes, Kit
from edge.runtime import Float
from edge.runtime.prepare import Image

SIDES: Final = (0.85, 0.6, 0.4, 0.26)
"""Square root of the area, as a share of the image's."""
SHAPES: Final = (1.0, 0.55, 1.8)
"""Width over height."""
STEP: Final = 0.45
"""Between neighbours, as a share of a window's side."""


def lay(side: float, shape: float) -> Float:
    """Return the windows ``[N, 4]`` of one size and shape in shares of the image."""
    wide, high = min(1.0, side * shape**0.5), min(1.0, side / shape**0.5)
    across = np.linspace(0, 1 - wide, 1 + int(np.ceil((1 - wide) / (STEP * wide))))
    down = np.linspace(0, 1 - high, 1 + int(np.ceil((1 - high) / (STEP * high))))
    x, y = (v.reshape(-1) for v in np.meshgrid(across, down))
    return np.stack([x, y, x + wide, y + high], axis=1).astype(np.float32)


class Laid:
    """The windows, largest first."""

    key = "windows 1"

    def __init__(self) -> None:
        self.shares = np.concatenate([lay(side, shape) for side in SIDES for shape in SHAPES])

    def propose(self, image: Image, camera: str, path: Path | None) -> Boxes:
        """Return them for this image."""
        height, width = image.shape[:2]
        boxes = self.shares * np.array([width, height, width, height], np.float32)
        return Boxes(boxes, np.linspace(1, 0.01, len(boxes), dtype=np.float32))


class Windows:
    """The way."""

    name = "windows"
    about = "windows of fixed sizes and shapes"

    def open(self, kit: Kit) -> Laid:
        """Return them."""
        return Laid()


PROPOSALS = Windows()
