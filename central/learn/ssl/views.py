"""Two looks at one scene: where they crop it, what becomes of its colours, which boxes both can see.

Everything draws from one `numpy` generator, so a view is a function of its seed. Places are kept by affine maps: from
(x, y) as shares 0..1 of the frame to pixels of the view. Pixels are counted from the edge: the first spans 0 to 1.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from central.learn.data import Pixels

SCALE: Final = (0.3, 1.0)
"""Share of the frame's area that a crop shows. Scenes hold many things; less than a third is no longer the scene."""
ASPECT: Final = 4 / 3
"""A crop is stretched at most so much."""
OVERLAP: Final = 0.2
"""Least IoU of the two crops of a frame."""
TRIES: Final = 10
JITTER: Final = (0.4, 0.4, 0.2, 0.1)
"""Brightness, contrast, saturation (shares) and hue (of a full turn)."""
JITTERED: Final = 0.8
GREY: Final = 0.2
BLURRED: Final = (0.5, 0.1)
"""Probability of blur in the first and the second view."""
SIGMA: Final = (0.1, 1.5)
"""Pixels of the view."""
AROUND: Final = (1.1, 2.2)
"""Side of a crop around one object, over the longer side of its box: the object fills a fifth of it or more."""
AWAY: Final = 0.2
"""How far its middle is from that of the box, share of the longer side."""
VISIBLE: Final = 0.6
"""Share of a box that a crop must show."""
LEAST_SIDE: Final = 6.0
"""Pixels of the view; below it a box says nothing."""
MOST_BOXES: Final = 6
SHAKEN: Final = 0.1
"""How far the sides of a box move, share of its size, in half of the boxes."""
LUMA: Final = np.array([0.114, 0.587, 0.299])
"""Of B, G, R (ITU-R BT.601)."""
TO_YIQ: Final = np.array([[0.114, 0.587, 0.299], [-0.321, -0.274, 0.596], [0.311, -0.523, 0.211]])
"""From B, G, R."""
FROM_YIQ: Final = np.linalg.inv(TO_YIQ)


class Crop(NamedTuple):
    """A part of a frame, as shares 0..1 of its width and height, and whether it is mirrored."""

    left: float
    top: float
    right: float
    bottom: float
    flipped: bool = False

    @property
    def area(self) -> float:
        """Share of the frame."""
        return (self.right - self.left) * (self.bottom - self.top)


def iou(one: Crop, other: Crop) -> float:
    """Return the overlap of two crops over what both cover."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (one.area + other.area - shared)


def random_crop(
    frame: float, view: float, random: Generator, scale: tuple[float, float] = SCALE, flip: float = 0.5
) -> Crop:
    """Return a crop of a frame with the aspect (width over height) `frame` for a view with the aspect `view`."""
    for _ in range(TRIES):
        area = random.uniform(*scale)
        aspect = view / frame * math.exp(random.uniform(-math.log(ASPECT), math.log(ASPECT)))
        width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if width <= 1 and height <= 1:
            break
    else:  # as large as fits, and not stretched
        width, height = min(1.0, view / frame), min(1.0, frame / view)
    left, top = random.uniform(0, 1 - width), random.uniform(0, 1 - height)
    return Crop(left, top, left + width, top + height, bool(random.random() < flip))


def upright(frame: float, view: float, random: Generator, least: float = 0.6) -> Crop:
    """Return a crop that is neither stretched nor mirrored, `least` to 1 of the largest such one along each side."""
    zoom = random.uniform(least, 1.0)
    width, height = zoom * min(1.0, view / frame), zoom * min(1.0, frame / view)
    left, top = random.uniform(0, 1 - width), random.uniform(0, 1 - height)
    return Crop(left, top, left + width, top + height)


def two_crops(frame: float, view: float, random: Generator) -> tuple[Crop, Crop]:
    """Return two crops whose IoU is at least OVERLAP."""
    first = random_crop(frame, view, random)
    for _ in range(TRIES):
        second = random_crop(frame, view, random)
        if iou(first, second) >= OVERLAP:
            return first, second
    return first, first._replace(flipped=bool(random.random() < 0.5))


def close_crop(box: NDArray[np.float32], frame: float, view: float, random: Generator) -> Crop:
    """Return a crop around `box` ``[4]`` (xyxy, shares of the frame), as `random_crop` for `frame` and `view`.

    Objects are small in frames of streets: what a crop of the scene shows of them says where they are, not what.
    """
    sides = np.array([(box[2] - box[0]) * frame, box[3] - box[1]])  # in heights of the frame
    side = float(sides.max()) * random.uniform(*AROUND)
    stretch = math.sqrt(view) * math.exp(random.uniform(-math.log(ASPECT), math.log(ASPECT)) / 2)
    width, height = min(1.0, side * stretch / frame), min(1.0, side / stretch)
    shift = random.uniform(-AWAY, AWAY, 2) * sides.max() / np.array([frame, 1.0])
    middle = (box[:2] + box[2:]) / 2 + shift
    left = float(np.clip(middle[0] - width / 2, 0.0, 1 - width))
    top = float(np.clip(middle[1] - height / 2, 0.0, 1 - height))
    return Crop(left, top, left + width, top + height, bool(random.random() < 0.5))


def snapped(crop: Crop, height: int, width: int) -> Crop:
    """Return `crop` with its sides on the borders of the pixels of a picture of `height` x `width`."""
    left, top = min(width - 1, round(crop.left * width)), min(height - 1, round(crop.top * height))
    right, bottom = max(left + 1, round(crop.right * width)), max(top + 1, round(crop.bottom * height))
    return Crop(left / width, top / height, right / width, bottom / height, crop.flipped)


def cut(image: Pixels, crop: Crop, height: int, width: int) -> Pixels:
    """Return what `crop` (snapped) shows of `image`, ``[height, width, 3]``."""
    h, w = image.shape[:2]
    part = image[round(crop.top * h) : round(crop.bottom * h), round(crop.left * w) : round(crop.right * w)]
    shrinks = part.shape[0] > height and part.shape[1] > width
    made = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(made[:, ::-1] if crop.flipped else made, np.uint8)


def affine(crop: Crop, height: int, width: int) -> NDArray[np.float32]:
    """Return the map ``[2, 3]`` from shares of the frame to pixels of the view."""
    sx, sy = width / (crop.right - crop.left), height / (crop.bottom - crop.top)
    row = [-sx, 0.0, sx * crop.right] if crop.flipped else [sx, 0.0, -sx * crop.left]
    return np.array([row, [0.0, sy, -sy * crop.top]], np.float32)


def place(boxes: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `boxes` ``[N, 4]`` (xyxy, shares of the frame) in pixels of the view, not yet clipped."""
    corners = boxes.reshape(-1, 2, 2) @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate((corners.min(axis=1), corners.max(axis=1)), 1).astype(np.float32)


def seen(boxes: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Return which of `boxes` ``[N, 4]`` (pixels of the view) the view shows enough of."""
    clipped = boxes.clip(0, np.array([width, height, width, height], np.float32))
    sides = clipped[:, 2:] - clipped[:, :2]
    whole = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)
    return np.asarray((sides.min(axis=1, initial=1e9) >= LEAST_SIDE) & (sides.prod(axis=1) >= VISIBLE * whole))


def shaken(boxes: NDArray[np.float32], random: Generator, height: int, width: int) -> NDArray[np.float32]:
    """Return `boxes` ``[N, 4]`` with the sides of half of them moved by up to SHAKEN of their size, inside the view."""
    size = np.concatenate((boxes[:, 2:] - boxes[:, :2],) * 2, 1)
    move = random.uniform(-SHAKEN, SHAKEN, boxes.shape) * (random.random((len(boxes), 1)) < 0.5)
    moved = boxes + (size * move).astype(np.float32)
    return np.asarray(moved.clip(0, np.array([width, height, width, height], np.float32)), np.float32)


def recoloured(image: Pixels, random: Generator, blurred: float) -> Pixels:
    """Return `image` (BGR) in other colours; with probability `blurred`, out of focus, too.

    Brightness, contrast, saturation and hue are all affine in the colour, so one pass over the pixels does them.
    """
    matrix, offset = np.eye(3), np.zeros(3)
    if random.random() < JITTERED:
        light, contrast, colour = (random.uniform(1 - s, 1 + s) for s in JITTER[:3])
        turn = 2 * math.pi * random.uniform(-JITTER[3], JITTER[3])
        mean = float(image[::8, ::8].reshape(-1, 3).mean(axis=0) @ LUMA)
        grey = np.tile(LUMA, (3, 1))
        hue = np.array([[1, 0, 0], [0, math.cos(turn), -math.sin(turn)], [0, math.sin(turn), math.cos(turn)]])
        matrix = FROM_YIQ @ hue @ TO_YIQ @ (colour * np.eye(3) + (1 - colour) * grey) * contrast * light
        offset = np.full(3, (1 - contrast) * mean * light)
    if random.random() < GREY:
        matrix, offset = np.tile(LUMA, (3, 1)) @ matrix, np.full(3, float(LUMA @ offset))
    out = cv2.transform(image, np.concatenate((matrix, offset[:, None]), 1))
    if random.random() < blurred:
        out = cv2.GaussianBlur(out, (0, 0), random.uniform(*SIGMA))
    return np.asarray(out, np.uint8)
