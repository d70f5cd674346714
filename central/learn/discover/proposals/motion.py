"""What moves before a fixed camera: the boxes of what differs from the median of its frames, at several closings.

    frames of a camera -> blocks in time -> median -> difference -> closed more and less -> connected parts -> boxes

One object may fall into parts, two may touch, and shadows go with both: what differs much, what differs a little, and
that without its shadows, each as it is and closed more and more, are all proposed; heads choose among them. What stands
still all the time is not found; other ways are for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from central.learn.data.dataset import read_image
from central.learn.discover.proposals import NOTHING, Boxes, Kit, ProposalError, ranked
from central.learn.ssl.boxes.motion import BLOCK, FEWEST, SAMPLES
from edge.runtime import Float
from edge.runtime.prepare import Image

WIDTH: Final = 320
"""Pixels to which a frame is scaled first."""
CLOSINGS: Final = ((1, 1), (3, 3), (7, 3), (3, 9), (9, 9))
"""Width and height of what is closed, in small pixels: a car's windows, a shadow's gap, a person's legs."""
MUCH: Final = 35.0
LITTLE: Final = 16.0
"""Grey levels by which the strongest channel differs from the background, other light for the whole frame taken off."""
SHADOW: Final = (0.4, 0.97)
"""Of its background's brightness that a shadow has."""
COLOURED: Final = 0.12
"""By which the channels of a shadow are dimmed differently at most; more is another colour."""
SMALLEST: Final = 30
"""Small pixels of a part that counts."""
SAME: Final = 0.9


def small(image: Image) -> Image:
    """Return `image` as wide as motion is looked for."""
    height = max(1, round(image.shape[0] * WIDTH / image.shape[1]))
    resized = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.medianBlur(resized, 3), np.uint8)


def median(paths: Sequence[Path]) -> Image | None:
    """Return the median of frames spread over `paths`; None where too few can be read, or they differ in size."""
    spread = np.unique(np.linspace(0, len(paths) - 1, SAMPLES).astype(int))
    found = [small(image) for p in spread if (image := read_image(str(paths[int(p)]))) is not None]
    if len(found) < FEWEST or len({f.shape for f in found}) > 1:
        return None
    return np.asarray(np.median(np.stack(found), axis=0), np.uint8)


class Backgrounds:
    """The backgrounds of all cameras, each block's when it is first asked for."""

    def __init__(self, cameras: Mapping[str, Sequence[Path]]) -> None:
        self.blocks: dict[tuple[str, int], Sequence[Path]] = {}
        self.place: dict[Path, tuple[str, int]] = {}
        self.known: dict[tuple[str, int], Image | None] = {}
        for camera, paths in cameras.items():
            count = max(1, round(len(paths) / BLOCK))
            for number, rows in enumerate(np.array_split(np.arange(len(paths)), count)):
                own = [paths[int(row)] for row in rows]
                self.blocks[(camera, number)] = own
                self.place |= dict.fromkeys(own, (camera, number))
        named = "\n".join(f"{c} {p}" for c in sorted(cameras) for p in cameras[c])
        self.key = "motion 2 " + hashlib.sha256(named.encode()).hexdigest()

    def propose(self, image: Image, camera: str, path: Path | None) -> Boxes:
        """Return what moves on a frame of one of the cameras; nothing on other images."""
        place = self.place.get(path) if path is not None else None
        if place is None or not camera:
            return NOTHING
        if place not in self.known:
            self.known[place] = median(self.blocks[place])
        background, own = self.known[place], small(image)
        if background is None or background.shape != own.shape:
            return NOTHING
        found = [parts(closed(mask, *size)) for mask in masks(own, background) for size in CLOSINGS]
        turns = np.concatenate([1.0 / (1 + turn + np.arange(len(p), dtype=np.float32)) for turn, p in enumerate(found)])
        scale = np.array([image.shape[1] / own.shape[1], image.shape[0] / own.shape[0]] * 2, np.float32)
        return ranked(np.concatenate(found) * scale, turns.astype(np.float32), same=SAME)


def masks(frame: Image, background: Image) -> list[Image]:
    """Return where a BGR `frame` differs from its `background`, 1 or 0: much; a little without shadows; a little."""
    gap = frame.astype(np.float32) - background
    gap = np.abs(gap - np.median(gap.reshape(-1, 3)[::7], axis=0)).max(axis=2)
    dimmed = (frame.astype(np.float32) + 3) / (background.astype(np.float32) + 3)
    low, high = dimmed.min(axis=2), dimmed.max(axis=2)
    shadow = (low > SHADOW[0]) & (high < SHADOW[1]) & (high - low < COLOURED)
    kernel = np.ones((2, 2), np.uint8)
    found = (gap > MUCH, (gap > LITTLE) & ~shadow, gap > LITTLE)
    return [np.asarray(cv2.morphologyEx(m.astype(np.uint8), cv2.MORPH_OPEN, kernel), np.uint8) for m in found]


def parts(mask: Image) -> Float:
    """Return the boxes ``[N, 4]`` (small pixels) of the connected parts of `mask`, the largest first."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    own = stats[1:count][stats[1:count, cv2.CC_STAT_AREA] >= SMALLEST]
    own = own[np.argsort(-own[:, cv2.CC_STAT_AREA], kind="stable")]
    return np.concatenate([own[:, :2], own[:, :2] + own[:, 2:4]], axis=1).astype(np.float32)


def closed(mask: Image, width: int, height: int) -> Image:
    """Return `mask` with gaps up to `width` and `height` pixels closed."""
    kernel = np.ones((height, width), np.uint8)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), np.uint8)


class Motion:
    """The way."""

    name = "motion"
    about = "what moves before a fixed camera"

    def open(self, kit: Kit) -> Backgrounds:
        """Return it for the cameras of `kit`. Raises ProposalError where there is none."""
        if not any(len(paths) >= FEWEST for paths in kit.cameras.values()):
            raise ProposalError(f"motion: no camera with at least {FEWEST} frames; use another way for single images")
        return Backgrounds(kit.cameras)


PROPOSALS = Motion()
