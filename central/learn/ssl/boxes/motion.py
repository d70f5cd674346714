"""What moves before a fixed camera: where a frame differs from the median of its neighbours in time.

    frames of a camera -> blocks -> poses -> light evened -> median -> difference -> connected components -> boxes

A median needs no order, so samples of a camera do as well as its video. Poses are what one camera looks at: it may be
turned from one to the next, and each has a background of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.learn.data import Pixels
from central.learn.ssl.boxes import Found, Report, Wish, poses
from central.learn.ssl.material import Stock

WIDTH: Final = 480
"""Pixels to which a frame is scaled first: what is smaller than a few of them is noise."""
FEWEST: Final = 5
"""Frames of a pose; a median of fewer still shows what moves."""
BLOCK: Final = 240
"""Frames that share a background; light changes from one to the next."""
SAMPLES: Final = 31
"""Frames that a median is taken of, spread over the block."""
LEVELS: Final = 30.0
"""Grey levels that a pixel must differ by at least."""
NOISES: Final = 5.0
"""And so many times the median difference of the frame."""
EDGES: Final = 0.6
"""And so much of how far the background differs within a pixel around: a camera in the wind shifts its edges."""
UNSTEADY: Final = 0.3
"""Share of the pixels that move in the median frame of a pose, from which its camera is not a fixed one."""
SMALLEST: Final = 0.0008
"""Share of the frame's area."""
LARGEST: Final = 0.25
LONGEST: Final = 4.0
"""Length over width."""
LEAST_FILLED: Final = 0.45
"""Share of a box that moves: less is a tangle of edges, or several things."""
EVERY: Final = 5
"""Every so-many-th pixel tells what the light is."""
FITS: Final = 5
"""Rounds of weighting."""
FLAT: Final = 1.0
"""Variance of a channel, below which it says nothing of contrast."""
MOST_GAIN: Final = 5.0


def evened(frame: NDArray[Any], background: NDArray[Any]) -> NDArray[np.float32]:
    """Return `frame` in the light of `background` (both ``[H, W, 3]``): each channel scaled and shifted to it.

    A robust fit (Cauchy's weights), as what moves is of neither.
    """
    out: NDArray[np.float32] = np.empty(frame.shape, np.float32)
    for channel in range(frame.shape[2]):
        whole = frame[..., channel].astype(np.float32)
        x, y = whole.ravel()[::EVERY], background[..., channel].ravel()[::EVERY].astype(np.float32)
        weight: NDArray[Any] = np.ones_like(x)
        for _ in range(FITS):
            share = weight / weight.sum()
            middle, level = float(share @ x), float(share @ y)
            spread = float(share @ (x - middle) ** 2)
            gain = float(share @ ((x - middle) * (y - level))) / spread if spread > FLAT else 1.0
            gain = min(max(gain, 1 / MOST_GAIN), MOST_GAIN)
            rest = np.abs(y - level - gain * (x - middle))
            weight = 1 / (1 + (rest / max(1.5 * float(np.median(rest)), 2.0)) ** 2)
        out[..., channel] = gain * (whole - middle) + level
    return out


def background_of(samples: Sequence[Pixels]) -> NDArray[np.float32]:
    """Return what stays in `samples`, all of one pose, in the light of most of them."""
    background = np.asarray(np.median(np.stack(samples), axis=0), np.float32)
    for _ in range(2):
        fitted = np.stack([evened(s, background) for s in samples])
        background = np.asarray(np.median(fitted, axis=0), np.float32)
    return background


def moved(frame: Pixels, background: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 1 where `frame` differs from `background` (both BGR), else 0, ``[H, W]``; other light does not count."""
    background = np.asarray(background, np.float32)
    gap = np.abs(evened(frame, background) - background).max(axis=2)
    edges = cv2.morphologyEx(background, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).max(axis=2)
    mask = (gap > max(LEVELS, NOISES * float(np.median(gap))) + EDGES * edges).astype(np.uint8)
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
    certain = True

    def find(self, stock: Stock, frames: Sequence[int], wish: Wish, report: Report) -> Found:
        """Return what moves on the frames of cameras that stand still."""
        found: Found = {}
        for block in _blocks(stock, frames):
            if len(block) >= FEWEST:
                found |= self._block(stock, block)
            report(len(found))
        return found

    def _block(self, stock: Stock, block: list[int]) -> Found:
        images: dict[int, Pixels] = {}
        height = 0
        for frame in block:
            image = _small(stock, frame, height)
            if image is not None:
                images[frame], height = image, image.shape[0]
        found: Found = {}
        known = list(images)
        for pose in poses.of(list(images.values())):
            found |= self._pose({known[i]: images[known[i]] for i in pose})
        return found

    def _pose(self, images: dict[int, Pixels]) -> Found:
        if len(images) < FEWEST:
            return {}
        shown = list(images.values())
        samples = [shown[i] for i in np.unique(np.linspace(0, len(shown) - 1, SAMPLES).astype(int))]
        background = background_of(samples)
        if float(np.median([moved(s, background).mean() for s in samples])) > UNSTEADY:
            return {}
        return {frame: components(moved(image, background)) for frame, image in images.items()}


BOXES = Motion()
