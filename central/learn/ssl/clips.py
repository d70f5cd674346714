"""What happens between the frames of a clip: which cells move, and where to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.learn.data import Pixels

CELL: Final = 8
"""Pixels of the view along each side of a cell."""
LEVELS: Final = 14.0
"""Grey levels by which a pixel must differ from its neighbours in time."""
SHARE: Final = 0.2
"""Share of a cell's pixels that must."""


def _grey(frames: Sequence[Pixels]) -> NDArray[np.float32]:
    blurred = (cv2.GaussianBlur(cv2.cvtColor(f, cv2.COLOR_BGR2GRAY), (3, 3), 0) for f in frames)
    return np.stack([b.astype(np.float32) for b in blurred])


def moving_in(frames: Sequence[Pixels]) -> NDArray[np.bool_]:
    """Return which cells of each frame ``[H, W, 3]`` move, ``[T, 1, H/8, W/8]``: against the frames before and after.

    Of three frames in a row, a thing is only where the middle one differs from both (three-frame differencing).
    """
    grey = _grey(frames)
    count, height, width = grey.shape
    if count == 1:
        return np.zeros((1, 1, height // CELL, width // CELL), bool)
    steps = np.abs(np.diff(grey, axis=0))
    before, after = np.concatenate((steps[:1], steps)), np.concatenate((steps, steps[-1:]))
    changed = np.minimum(before, after) > LEVELS
    cells = changed.reshape(count, height // CELL, CELL, width // CELL, CELL).mean(axis=(2, 4))
    return np.asarray(cells[:, None] > SHARE)


def flow_of(frames: Sequence[Pixels]) -> NDArray[np.float32]:
    """Return how far each cell moves until the next frame, ``[T-1, 2, H/8, W/8]`` pixels (x, y), by DIS.

    Kroeger et al., "Fast optical flow using dense inverse search" (ECCV 2016), as OpenCV has it.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    grey = [cv2.cvtColor(f, cv2.COLOR_BGR2GRAY) for f in frames]
    found = []
    for now, later in pairwise(grey):
        flow = search.calc(now, later, None)  # type: ignore[call-overload]
        height, width = flow.shape[:2]
        found.append(flow.reshape(height // CELL, CELL, width // CELL, CELL, 2).mean(axis=(1, 3)).transpose(2, 0, 1))
    return np.stack(found).astype(np.float32)
