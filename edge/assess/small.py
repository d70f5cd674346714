"""The picture as the scores that look at all of it see it: grey and small, at the least cost.

Best is one colour plane of what was made for the network anyway; else one of the frame's own, thinned first.
Green stands for grey: it carries most of the light, and taking one plane costs a fraction of mixing three.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.sources import Image

Grey = NDArray[np.uint8]
"""``[h, w]``, 0..255."""
GREEN = 1
"""Its place in BGR, and in RGB."""
SPARE = 4
"""Pixels of the frame across one small pixel that are averaged; more would cost more and hardly lessen the noise."""
MUCH = 2.5
"""Times the width up to which bilinear sampling sees nearly all pixels."""
LEAST_HEIGHT = 16
"""Rows, whatever the picture's shape; filters need some."""


def thinned(image: Image, width: int) -> Grey:
    """Return the green plane of BGR `image`, some pixels of it only where it is more than SPARE `width` across."""
    if image.shape[1] > SPARE * width:
        size = (SPARE * width, max(LEAST_HEIGHT, round(image.shape[0] * SPARE * width / image.shape[1])))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return np.asarray(cv2.extractChannel(image, GREEN), np.uint8)


def small_grey(image: Image, picture: Grey | None, width: int) -> Grey:
    """Return the scene `width` across, grey: of `picture` (see `edge.runtime.Inference`), else of the frame's `image`.

    Halved while it is MUCH too wide, then brought to size."""
    grey = thinned(image, width) if picture is None else picture
    while grey.shape[1] >= MUCH * width and grey.shape[0] >= 2 * LEAST_HEIGHT:
        half = (grey.shape[1] // 2, grey.shape[0] // 2)
        grey = np.asarray(cv2.resize(grey[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA), np.uint8)
    height = max(LEAST_HEIGHT, round(grey.shape[0] * width / grey.shape[1]))
    if grey.shape == (height, width):
        return grey
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
