"""Sharpness by a pack's tile model: small tiles at native resolution, and at half, a quarter and an eighth of it.

    picture -> pyramid -> where its coarse structure is -> tiles -> blur of each (blur_tiles.onnx) -> one number

Of each scale, tiles are taken where there is structure that even a blurred picture shows, so that a picture and its
blurred version are looked at in the same places. A picture is as sharp as its sharpest parts: the tenth percentile of
the blur counts, half of it of all tiles together, which are mostly of the finest scales, half of it of each scale by
itself: where a blur is so wide that native resolution shows nothing but noise, the coarser scales still tell. Scores
are put together before the sigmoid, where the difference between two strong blurs is as large as that between two weak
ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float
from edge.runtime.prepare import Image

TILE: Final = 64
"""Side of a tile, pixels."""
SCALES: Final = (1, 2, 4, 8)
"""Pixels of the picture per pixel of a tile; those at which it has at least LEAST pixels along each side."""
LEAST: Final = 64
MOST: Final = 24
"""Tiles of one scale."""
PERCENT: Final = 10.0
"""Of the blur of the tiles."""
TINY: Final = 1e-7
"""Least distance of a tile's blur from 0 and from 1."""
COARSE: Final = 8
"""Pixels per cell of the map in which structure is looked for."""

Grey = NDArray[np.uint8]
"""``[h, w]``, 0..255."""
Tiles = NDArray[np.uint8]
"""``[N, 1, TILE, TILE]``, grey."""


class Runs(Protocol):
    """What computes the blur of tiles: a session of ``blur_tiles.onnx``, or a stand-in."""

    def run(self, inputs: NDArray[np.generic]) -> dict[str, Float]:
        """Return ``blur [N]``, 0..1, of tiles."""
        ...


class Seen(NamedTuple):
    """Blur of a picture: 0..1, higher is blurrier. `scales`: that of each scale, finest first."""

    blur: float
    scales: tuple[float, ...]
    tiles: int


def plane(image: Image) -> Grey:
    """Return the luma of a BGR `image`, a grey one as it is; mirrored at its sides where it is less than a tile."""
    grey = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    down, across = (max(0, TILE - n) for n in grey.shape)
    if down or across:
        sides = (down // 2, down - down // 2, across // 2, across - across // 2)
        grey = np.asarray(cv2.copyMakeBorder(grey, *sides, cv2.BORDER_REFLECT), np.uint8)
    return grey


def structure(grey: Grey) -> NDArray[np.float32]:
    """Return how much coarse structure ``[h, w]`` there is in each cell of COARSE pixels."""
    size = (max(1, grey.shape[1] // COARSE), max(1, grey.shape[0] // COARSE))
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
    across, down = (cv2.Sobel(small, cv2.CV_32F, x, y) for x, y in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down), np.float32)


def places(grey: Grey, most: int) -> list[tuple[int, int]]:
    """Return up to `most` places (top, left) of tiles of `grey`, those with most structure, none upon another."""
    height, width = grey.shape
    rows, columns = max(1, height // TILE), max(1, width // TILE)
    energy = structure(grey)
    side = TILE // COARSE
    total = cv2.boxFilter(energy, -1, (side, side), normalize=True, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    tops = np.round(np.linspace(0, height - TILE, rows)).astype(int)
    lefts = np.round(np.linspace(0, width - TILE, columns)).astype(int)
    rows_of, columns_of = (np.minimum(at // COARSE, n - 1) for at, n in zip((tops, lefts), total.shape, strict=True))
    worth = total[np.ix_(rows_of, columns_of)]
    best = np.argsort(-worth, axis=None, kind="stable")[:most]
    return [(int(tops[i // columns]), int(lefts[i % columns])) for i in best]


def cut(grey: Grey, where: Sequence[tuple[int, int]]) -> Tiles:
    """Return the tiles of `grey` at `where`."""
    return np.stack([grey[t : t + TILE, x : x + TILE] for t, x in where])[:, None]


def pyramid(grey: Grey) -> list[Grey]:
    """Return `grey` at each of SCALES at which there is enough of it, finest first."""
    found = []
    for scale in SCALES:
        size = (grey.shape[1] // scale, grey.shape[0] // scale)
        if min(size) < LEAST:
            break
        found.append(grey if scale == 1 else np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8))
    return found


def pooled(logits: Float) -> float:
    """Return the blur, before the sigmoid, of what tiles show, by that of each."""
    return float(np.percentile(logits, PERCENT))


def _logits(blur: Float) -> Float:
    """Return `blur`, 0..1, before the sigmoid."""
    inside = np.clip(np.asarray(blur, np.float64), TINY, 1 - TINY)
    return np.asarray(np.log(inside / (1 - inside)))


def _sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def look(image: Image, model: Runs, most: int = MOST) -> Seen:
    """Return the blur of a BGR or grey `image`, by up to `most` tiles of each scale."""
    levels = pyramid(plane(image))
    groups = [cut(level, places(level, most)) for level in levels]
    logits = _logits(model.run(np.concatenate(groups))["blur"].reshape(-1))
    ends = np.cumsum([len(group) for group in groups])[:-1]
    scales = [pooled(part) for part in np.split(logits, ends)]
    whole = (float(np.mean(scales)) + pooled(logits)) / 2
    return Seen(_sigmoid(whole), tuple(_sigmoid(scale) for scale in scales), len(logits))
