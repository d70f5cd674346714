"""What the trunk's features say is of one piece with the middle of the box, refined by colour.

Activations spread over patches that are like each other (affinity; Ahn and Kwak, CVPR 2018, by random walk), within the
box; then GrabCut from what is left.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from central.learn.discover.masks import Mask, MaskError
from central.learn.discover.masks.grabcut import cut
from central.learn.discover.trunk import Look, Seen
from central.learn.models.roi import roi_align
from edge.runtime import Float
from edge.runtime.prepare import Image

GRID: Final = 14
"""Cells per side of the box and its surroundings in which patches are compared."""
AROUND: Final = 1.5
"""Side of what is looked at, in sides of the box."""
SHARP: Final = 6.0
"""Power of the likeness of two patches."""
WALKS: Final = 4
"""Steps of the random walk."""
ABOVE: Final = 0.5
"""Of the largest value, from which a patch is likely of the object."""


def spread(features: NDArray[np.float32], start: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return activations ``[P]`` after a random walk over patches ``[P, c]`` that are alike; the largest is 1."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    walk = np.clip(unit @ unit.T, 0, 1) ** SHARP
    walk /= np.maximum(walk.sum(1, keepdims=True), 1e-9)
    for _ in range(WALKS):
        start = walk @ start
    return np.asarray(start / max(float(start.max()), 1e-9), np.float32)


def likely(seen: Seen, box: Float, shape: tuple[int, ...]) -> Mask:
    """Return the pixels ``[H, W]`` of an image of `shape` that are likely of the object in `box` (xyxy, pixels)."""
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * AROUND
    around = np.concatenate([middle - half, middle + half]).astype(np.float32)[None]
    level, stride = seen.maps[0]
    inner = torch.from_numpy(seen.transform.to_input(around))
    patches = roi_align(level, inner, stride, GRID)[0].flatten(1).T.numpy()
    places = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    far = np.abs(np.stack(np.meshgrid(places, places))).max(0).reshape(-1) * AROUND
    found = spread(patches - patches.mean(0), np.asarray(np.exp(-((far / 0.6) ** 2)), np.float32)).reshape(GRID, GRID)
    mask = np.zeros(shape[:2], bool)
    x1, y1 = np.floor(np.maximum(around[0, :2], 0)).astype(int)
    x2, y2 = np.ceil(np.minimum(around[0, 2:], (shape[1], shape[0]))).astype(int)
    if x2 <= x1 or y2 <= y1:
        return mask
    columns = ((np.arange(x1, x2) + 0.5 - around[0, 0]) / (2 * half[0]) * GRID - 0.5).astype(np.float32)
    rows = ((np.arange(y1, y2) + 0.5 - around[0, 1]) / (2 * half[1]) * GRID - 0.5).astype(np.float32)
    x, y = np.meshgrid(columns, rows)
    mask[y1:y2, x1:x2] = cv2.remap(found, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) >= ABOVE
    return mask


class Spreading:
    """The way, ready."""

    def __init__(self, look: Look) -> None:
        self.look = look

    def masks(self, image: Image, boxes: Float) -> list[Mask]:
        """Return the mask of each box."""
        seen = self.look(image)
        return [cut(image, box, likely(seen, box, image.shape)) for box in boxes]


class Activation:
    """The way."""

    name = "activation"
    about = "patches of the trunk that are like the middle of the box, refined by colour"

    def open(self, model: str, trunk: Any) -> Spreading:
        """Return it for `trunk`. Raises MaskError without one."""
        if trunk is None:
            raise MaskError("activation: masks from features need a trunk")
        return Spreading(trunk)


MASKS = Activation()
