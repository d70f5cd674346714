"""Labelled images on their way into training.

`Example` is the only currency: where the image is, its boxes, and which classes it was looked through for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""``[H, W, 3]``, BGR, 0..255."""


@dataclass(frozen=True)
class Example:
    """One labelled image.

    boxes ``[N, 4]`` xyxy in pixels of the image; classes ``[N]`` indices; weights ``[N]`` 0..1, 1 for a person's label
    and the confidence for a machine's; complete ``[C]``: classes that the image was fully looked through for,
    everything else is unknown, not negative.
    """

    path: Path
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    weights: NDArray[np.float32]
    complete: NDArray[np.bool_]
    camera: str = ""
