"""How wide edges are, block by block: what JNB and CPBD rest on.

An edge is as wide as the stretch of its row over which the picture goes on rising, or falling (Marziliano et al., ICIP
2002). A block counts where enough of it are edges; in one of little contrast, wider edges still look sharp.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.runtime.prepare import Image
from edge.runtime.sharpness.grey import Plane, grey

BLOCK: Final = 64
"""Pixels."""
ENOUGH: Final = 0.002
"""Share of a block's pixels that must be edges."""
FAINT: Final = 50.0
"""Contrast, grey levels, up to which an edge of WIDE_FAINT pixels is just noticeably blurred; above, WIDE_CLEAR."""
WIDE_FAINT, WIDE_CLEAR = 5.0, 3.0
BETA: Final = 3.6
"""Exponent of the probability of noticing a blur."""


def widths(plane: Plane) -> NDArray[np.int64]:
    """Return for each pixel how many pixels long the rise or fall along its row is that it lies in."""
    sign = np.sign(np.diff(plane, axis=1)).astype(np.int8)
    places = np.broadcast_to(np.arange(sign.shape[1]), sign.shape)
    turn = np.ones(sign.shape, bool)
    turn[:, 1:] = sign[:, 1:] != sign[:, :-1]
    begin = np.maximum.accumulate(np.where(turn, places, 0), axis=1)
    last = np.ones(sign.shape, bool)
    last[:, :-1] = turn[:, 1:]
    end = np.minimum.accumulate(np.where(last, places, sign.shape[1])[:, ::-1], axis=1)[:, ::-1]
    return np.pad(end - begin + 1, ((0, 0), (0, 1)), mode="edge")


def upright(plane: Plane) -> NDArray[np.bool_]:
    """Return where there are edges that run down rather than across."""
    low = plane.astype(np.uint8)
    across, down = (cv2.Sobel(low, cv2.CV_16S, x, y) for x, y in ((1, 0), (0, 1)))
    strong: Any = cv2.Canny(low, 40, 100)
    return np.asarray((strong > 0) & (np.abs(across) > np.abs(down)), np.bool_)


def blurs(image: Image) -> Iterator[NDArray[np.float64]]:
    """Yield for each block of edges the width of each, over the width that is just noticed there."""
    plane = grey(image)
    found, wide = upright(plane), widths(plane)
    for top in range(0, max(1, plane.shape[0] - BLOCK + 1), BLOCK):
        for left in range(0, max(1, plane.shape[1] - BLOCK + 1), BLOCK):
            part = slice(top, top + BLOCK), slice(left, left + BLOCK)
            edges = wide[part][found[part]]
            if edges.size <= ENOUGH * plane[part].size:
                continue
            faint = float(np.ptp(plane[part])) <= FAINT
            yield edges / (WIDE_FAINT if faint else WIDE_CLEAR)
