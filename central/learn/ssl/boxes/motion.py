"""What moves before a fixed camera: where a frame differs from the median of its neighbours in time.

    frames of a camera -> blocks -> median -> difference, brightness evened -> connected components -> boxes

A median needs no order, so samples of a camera do as well as its video.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.learn.data import Pixels
from central.learn.ssl.boxes import Found, Report, Wish
from central.learn.ssl.material import Stock

WIDTH: Final = 320
"""Pixels to which a frame is scaled first: what is smaller than a few of them is noise."""
FEWEST: Final = 5
"""Frames of a camera; a median of fewer still shows what moves."""
BLOCK: Final = 240
"""Frames that share a background; light changes from one to the next."""
SAMPLES: Final = 31
"""Frames that a median is taken of, spread over the block."""
LEVELS: Final = 16.0
"""Grey levels that a pixel must differ by at least."""
NOISES: Final = 5.0
"""And so many times the median difference of the frame."""
UNSTEADY: Final = 0.3
"""Share of the pixels that move in the median frame of a block, from which its camera is not a fixed one."""
SMALLEST: Final = 0.0006
"""Share of the frame's area."""
LARGEST: Final = 0.25
LONGEST: Final = 4.0
"""Length over width."""
LEAST_FILLED: Final = 0.25
"""Share of a box that moves: less is a tangle of edges."""


def moved(frame: Pixels, background: Pixels) -> NDArray[np.uint8]:
    """Return 1 where `frame` differs from `background` (both BGR), else 0, ``[H, W]``; other light does not count."""
    gap = frame.astype(np.float32) - background
    gap = np.abs(gap - np.median(gap.reshape(-1, 3)[::7], axis=0)).max(axis=2)
    mask = (gap > max(LEVELS, NOISES * float(np.median(gap)))).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.uint8)


def components(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the boxes ``[N, 4]`` (shares 0..1) of the connected parts of `mask` that may be objects, largest first."""
    height, width = mask.shape
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    x, y, w, h, filled = stats[1:count].T.astype(np.float64)
    area = w * h
    good = (area >= SMALLEST * mask.size) & (area <= LARGEST * mask.size) & (filled >= LEAST_FILLED * area)
    good &= np.maximum(w, h) <= LONGEST * np.minimum(w, h)
    order = np.flatnonzero(good)[np.argsort(-filled[good], kind="stable")]
    corners = np.stack((x / width, y / height, (x + w) / width, (y + h) / height), 1)
    return np.asarray(corners[order], np.float32)


def _small(stock: Stock, frame: int, height: int) -> Pixels | None:
    image = stock.read(frame)
    if image is None:
        return None
    height = height or round(image.shape[0] * WIDTH / image.shape[1])
    small = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.medianBlur(small, 3), np.uint8)


def _blocks(stock: Stock, frames: Sequence[int]) -> Iterator[list[int]]:
    """Yield the frames of one camera each, BLOCK at most, in the order of time (else of the material)."""
    by_camera: dict[int, list[int]] = defaultdict(list)
    for frame in frames:
        by_camera[stock.shots[frame].camera].append(frame)
    for camera, own in by_camera.items():
        if camera in stock.moving:
            continue
        times = [stock.shots[f].time for f in own]
        ordered = own if any(t != t for t in times) else [own[i] for i in np.argsort(times, kind="stable")]
        count = max(1, round(len(ordered) / BLOCK))
        yield from ([int(f) for f in part] for part in np.array_split(ordered, count))


class Motion:
    """The member."""

    name = "motion"

    def find(self, stock: Stock, frames: Sequence[int], wish: Wish, report: Report) -> Found:
        """Return what moves on the frames of cameras that stand still."""
        found: Found = {}
        for block in _blocks(stock, frames):
            if len(block) >= FEWEST:
                found |= self._block(stock, block)
            report(len(found))
        return found

    def _block(self, stock: Stock, block: list[int]) -> Found:
        spread = [block[i] for i in np.unique(np.linspace(0, len(block) - 1, SAMPLES).astype(int))]
        samples: list[Pixels] = []
        for frame in spread:
            image = _small(stock, frame, samples[0].shape[0] if samples else 0)
            if image is not None:
                samples.append(image)
        if len(samples) < FEWEST:
            return {}
        background = np.median(np.stack(samples), axis=0).astype(np.uint8)
        if float(np.median([moved(s, background).mean() for s in samples])) > UNSTEADY:
            return {}
        found: Found = {}
        for frame in block:
            image = _small(stock, frame, background.shape[0])
            if image is not None:
                found[frame] = components(moved(image, background))
        return found


BOXES = Motion()
