"""Labelled images on their way into training.

`Example` is the only currency: where the image is, its boxes, and which classes it was looked through for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
    everything else is unknown, not negative; tags ``[T]``: 1 where a person said that a tag is present, -1 absent, 0
    unknown, in the order of the network's tags. A tag that is a class is always 0: boxes tell.
    """

    path: Path
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    weights: NDArray[np.float32]
    complete: NDArray[np.bool_]
    camera: str = ""
    tags: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
