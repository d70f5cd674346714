"""Frames of a fixed camera that show what another one showed already teach nothing, and crowd out the others."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.learn.data import Pixels
from central.learn.ssl.material import MaterialError, Stock

THUMBNAIL: Final = 32
"""Cells along each side of what is compared: a car that is a thirtieth of the picture fills one."""
LEVELS: Final = 10.0
"""Grey levels (of 255) by which a cell must differ to count as changed: above the noise of a mean over a cell."""
CHANGED: Final = 0.015
"""Share of the cells that must have changed, or two frames are near-identical: 15 of 1024, a car nearby."""
COMPARED: Final = 100
"""Last kept frames of a camera that a frame is compared with: an empty street comes back again and again."""


def thumbnail(image: Pixels) -> NDArray[np.float32]:
    """Return `image` (grey or BGR) as ``[THUMBNAIL ** 2]`` mean grey levels, its own mean taken off."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray((small - small.mean()).reshape(-1), np.float32)


def alike(one: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    """Whether the thumbnail `one` is near-identical to one of `others` ``[N, cells]``."""
    if not len(others):
        return False
    return bool(((np.abs(others - one) > LEVELS).mean(axis=1) < CHANGED).any())


def without(stock: Stock, report: Callable[[int], None] = lambda _: None) -> Stock:
    """Return `stock` with only those frames kept that can be read and are not near-identical to one kept before.

    `report` is told how many frames were looked at. Raises MaterialError where no frame can be read.
    """
    recent: dict[int, deque[NDArray[np.float32]]] = defaultdict(lambda: deque(maxlen=COMPARED))
    kept, unread = [], []
    for index, shot in enumerate(stock.shots):
        image = stock.readers[shot.reader].small(shot.key)
        if image is None:
            unread.append(index)
        else:
            one, own = thumbnail(image), recent[shot.camera]
            if not alike(one, np.array(own)):
                own.append(one)
                kept.append(index)
        if index % 64 == 0:
            report(index)
    if not kept:
        raise MaterialError(f"none of the {len(stock.shots)} frames can be read; the first is {stock.shots[0].key}")
    report(len(stock.shots))
    return replace(stock, kept=np.array(kept, np.int64), unread=tuple(unread))
