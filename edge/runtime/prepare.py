"""From a frame to the array that a network takes, and its boxes back to the frame.

letterbox   keeps the aspect ratio, centred, the rest padded   (ours; training uses the very same function)
stretch     fills the input, aspect ratio lost                 (some foreign networks)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float
from protocols.pack import Input

Image = NDArray[np.uint8]
"""``[H, W, 3]``, BGR, 0..255."""

AREA_BELOW: Final = 0.5
"""Scale under which bilinear sampling starts to skip source pixels, so that area averaging is worth its time."""
_ORDER: Final = {"rgb": (2, 1, 0), "bgr": (0, 1, 2)}


@dataclass(frozen=True)
class Transform:
    """How a source image was placed in the input: ``input = source * (scale_x, scale_y) + (left, top)``.

    `width` and `height` are those of the source, pixels; `content` is the xyxy rectangle of the input, pixels, that
    holds the image (the rest is padding).
    """

    scale_x: float
    scale_y: float
    left: int
    top: int
    width: int
    height: int
    content: tuple[int, int, int, int]

    def to_input(self, boxes: Float) -> Float:
        """Map boxes ``[N, 4]`` xyxy from source pixels to input pixels."""
        return (boxes * self._scale() + self._shift()).astype(np.float32)

    def to_source(self, boxes: Float) -> Float:
        """Map boxes ``[N, 4]`` xyxy from input pixels to source pixels, clipped to the source."""
        mapped: Float = (boxes - self._shift()) / self._scale()
        limit = np.array([self.width, self.height] * 2, np.float32)
        return np.asarray(np.clip(mapped, 0, limit), np.float32)

    def lengths_to_source(self, lengths: Float) -> Float:
        """Map distances ``[N, 4]`` along x, y, x, y from input pixels to source pixels."""
        return (lengths / self._scale()).astype(np.float32)

    def _scale(self) -> Float:
        return np.array([self.scale_x, self.scale_y] * 2, np.float32)

    def _shift(self) -> Float:
        return np.array([self.left, self.top] * 2, np.float32)


def calm() -> None:
    """Let OpenCV work on the calling thread alone, in this whole process.

    A node's pictures are small and its threads many: waking OpenCV's own ones costs more time of the processor than the
    work they share, twice as much for the scores of a frame, and makes every frame wait for a busy core."""
    cv2.setNumThreads(1)


def _resized(image: Image, width: int, height: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    shrink = min(width / image.shape[1], height / image.shape[0])
    method = cv2.INTER_AREA if shrink < AREA_BELOW else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def letterbox(image: Image, height: int, width: int, pad: int = 114) -> tuple[Image, Transform]:
    """Return `image` resized to fit ``[height, width, 3]``, centred and padded with `pad` (0..255), and its Transform.

    The image may have any number of channels; an image without pixels raises ValueError.
    """
    source_h, source_w = image.shape[:2]
    if not source_h or not source_w:
        raise ValueError("image has no pixels")
    scale = min(width / source_w, height / source_h)
    new_w, new_h = (
        max(1, min(width, round(source_w * scale))),
        max(1, min(height, round(source_h * scale))),
    )
    left, top = (width - new_w) // 2, (height - new_h) // 2
    content = (left, top, left + new_w, top + new_h)
    transform = Transform(new_w / source_w, new_h / source_h, left, top, source_w, source_h, content)
    resized = _resized(image, new_w, new_h)
    if (new_w, new_h) == (width, height):
        return resized, transform
    canvas = np.full((height, width, *image.shape[2:]), pad, np.uint8)
    canvas[top : top + new_h, left : left + new_w] = resized
    return canvas, transform


def stretch(image: Image, height: int, width: int) -> tuple[Image, Transform]:
    """Return `image` resized to fill ``[height, width, 3]`` and its Transform. Raises ValueError without pixels.

    Always bilinear, as foreign networks were trained: area averaging costs FastestDet a tenth of its precision.
    """
    source_h, source_w = image.shape[:2]
    if not source_h or not source_w:
        raise ValueError("image has no pixels")
    content = (0, 0, width, height)
    transform = Transform(width / source_w, height / source_h, 0, 0, source_w, source_h, content)
    resized = image
    if image.shape[:2] != (height, width):
        resized = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return resized, transform


def planes(image: Image, color: str) -> Image:
    """Return BGR ``[H, W, 3]`` as contiguous planes ``[1, 3, H, W]`` in `color` order (``rgb`` or ``bgr``)."""
    out = np.empty((1, 3, *image.shape[:2]), np.uint8)
    for target, channel in enumerate(_ORDER[color]):
        cv2.extractChannel(image, channel, out[0, target])
    return out


def normalise(pixels: Image, spec: Input) -> NDArray[np.generic]:
    """Return ``[1, 3, H, W]`` uint8 as the graph takes it: unchanged, or ``(pixels - mean) * scale`` in float32."""
    if spec.dtype == "uint8":
        return pixels
    mean = np.array(spec.mean, np.float32).reshape(1, 3, 1, 1)
    scale = np.array(spec.scale, np.float32).reshape(1, 3, 1, 1)
    return np.asarray((pixels - mean) * scale, np.float32)


def prepare(image: Image, spec: Input) -> tuple[NDArray[np.generic], Transform]:
    """Return what the graph is fed with, ``[1, 3, H, W]``, for a BGR image, and the Transform back to its pixels."""
    if spec.resize == "stretch":
        resized, transform = stretch(image, spec.height, spec.width)
    else:
        resized, transform = letterbox(image, spec.height, spec.width, spec.pad)
    return normalise(planes(resized, spec.color), spec), transform
