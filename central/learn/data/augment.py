"""From labelled images to training inputs: geometry (mosaic, scale, flip), then what weather and cameras do.

Everything draws from one `numpy` generator, so a sample is a function of its seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from central.learn.data import Pixels

PAD: Final = 114
MIN_SIDE: Final = 3.0
"""Input pixels; a smaller box cannot be learned from."""
MIN_VISIBLE: Final = 0.35
"""Share of a box that must remain in view for it to count."""
MOST_ZOOM: Final = 4.0
"""Largest zoom in, relative to the fit, when objects are brought to a size; out, `scale` bounds it, as padding teaches
nothing."""
JITTER: Final = 0.4
"""How far a border between the images of a mosaic may move, share of their even size."""
PASTED: Final = (10.0, 72.0)
"""Sides of pasted objects, input pixels: those that street cameras see."""
PASTED_GROWTH: Final = 1.5
"""A pasted object is magnified at most so much, or it would be all blur."""


@dataclass(frozen=True)
class Strength:
    """How hard to augment. `none` is what evaluation sees, `light` suits fine-tuning, `full` training from scratch."""

    mosaic: float = 0.0
    """Probability of several images in one."""
    grid: int = 2
    """Most images along each side of a mosaic; at least 2."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of the zoom relative to the letterbox fit."""
    shift: float = 0.0
    """Largest displacement, share of the input."""
    aspect: float = 0.0
    flip: float = 0.0
    colour: float = 0.0
    """Strength of brightness, contrast, saturation and tint changes, 0..1."""
    night: float = 0.0
    degrade: float = 0.0
    """Probability of blur, noise or compression."""
    sizes: tuple[float, float] | None = None
    """Input pixels: half of the sources are zoomed so that their median object has a side from this range."""
    paste: int = 0
    """Most objects of other images that are put into one sample."""


NONE: Final = Strength()
LIGHT: Final = Strength(mosaic=0.3, scale=(0.7, 1.5), shift=0.1, flip=0.5, colour=0.4, night=0.03, degrade=0.1)
FULL: Final = Strength(
    mosaic=0.65, grid=3, scale=(0.85, 2.2), shift=0.1, aspect=0.15, flip=0.5, colour=0.8, night=0.1, degrade=0.3,
    sizes=(12.0, 72.0), paste=6,
)
CALM: Final = replace(LIGHT, paste=2)
"""The end of a run with FULL: real images, and still some objects of the classes that are rare in them."""


@dataclass(frozen=True)
class Sample:
    """An input image and its targets, boxes in input pixels. regions ``[R, 4]``, complete ``[R, C]``: which classes are
    complete where (one region per source image); outside every region nothing is known and nothing is there."""

    image: Pixels
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    weights: NDArray[np.float32]
    regions: NDArray[np.float32]
    complete: NDArray[np.bool_]
    unread: tuple[int, ...] = ()
    """Examples that could not be read; others took their places."""
    tags: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    """``[T]``: what is known of the whole input (1, -1, or 0 for nothing)."""


@dataclass(frozen=True)
class Loaded:
    """A decoded image with its targets in pixels of that image."""

    image: Pixels
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    weights: NDArray[np.float32]
    complete: NDArray[np.bool_]
    tags: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))


def drawn_sources(strength: Strength, random: Generator) -> int:
    """Return how many images the next sample is made of, a square number: one, or those of a mosaic."""
    side = int(random.integers(2, strength.grid + 1)) if random.random() < strength.mosaic else 1
    return side * side


def _zoom(source: Loaded, fit: float, strength: Strength, random: Generator) -> float:
    """Return the scale of `source`: around `fit`, or such that its objects get a side from `strength.sizes`."""
    if strength.sizes is None or not len(source.boxes) or random.random() < 0.5:
        return fit * float(np.exp(random.uniform(*np.log(strength.scale))))
    sides = np.sqrt(np.prod(source.boxes[:, 2:] - source.boxes[:, :2], axis=1))
    wanted = float(np.exp(random.uniform(*np.log(strength.sizes))) / np.median(sides))
    return min(max(wanted, fit * strength.scale[0]), fit * MOST_ZOOM)


def _reach(window: int, drawn: float, shift: float) -> float:
    """Return how far the middle may move: enough to show any part of a large image, or to put a small one anywhere."""
    return max(shift * window, abs(drawn - window) / 2) if shift else 0.0


def _placement(
    source: Loaded, window: tuple[int, int, int, int], strength: Strength, random: Generator
) -> NDArray[np.float64]:
    """Return the 2x3 matrix that puts `source` into `window` (xyxy of the canvas), scaled, shifted and flipped."""
    left, top, right, bottom = window
    height, width = source.image.shape[:2]
    zoom = _zoom(source, min((right - left) / width, (bottom - top) / height), strength, random)
    stretch = float(np.exp(random.uniform(-strength.aspect, strength.aspect)))
    sx, sy = zoom * stretch, zoom / stretch
    cx = (left + right) / 2 + random.uniform(-1, 1) * _reach(right - left, sx * width, strength.shift)
    cy = (top + bottom) / 2 + random.uniform(-1, 1) * _reach(bottom - top, sy * height, strength.shift)
    flipped = -1.0 if random.random() < strength.flip else 1.0
    return np.array([[sx * flipped, 0, cx - sx * flipped * width / 2], [0, sy, cy - sy * height / 2]])


def _warp(
    source: Loaded, canvas: Pixels, window: tuple[int, int, int, int], strength: Strength, random: Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Draw `source` into `window` of `canvas`; return its visible boxes, their classes and weights."""
    left, top, right, bottom = window
    matrix = _placement(source, window, strength, random)
    image, scale = source.image, abs(matrix[0, 0])
    if scale < 0.6:  # bilinear sampling would skip source pixels: average first
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        reduced = np.array([[size[0] / image.shape[1], 0, 0], [0, size[1] / image.shape[0], 0], [0, 0, 1]])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        drawn = matrix @ np.linalg.inv(reduced)
    else:
        drawn = matrix.copy()
    drawn[:, 2] -= (left, top)
    canvas[top:bottom, left:right] = cv2.warpAffine(
        image, drawn, (right - left, bottom - top), flags=cv2.INTER_LINEAR, borderValue=(PAD, PAD, PAD)
    )
    if not len(source.boxes):
        return source.boxes, source.classes, source.weights
    x = np.sort(source.boxes[:, [0, 2]] * matrix[0, 0] + matrix[0, 2], axis=1)
    y = np.sort(source.boxes[:, [1, 3]] * matrix[1, 1] + matrix[1, 2], axis=1)
    whole = np.maximum((x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0]), 1e-6)
    x, y = x.clip(left, right), y.clip(top, bottom)
    width, height = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    keep = (width >= MIN_SIDE) & (height >= MIN_SIDE) & (width * height / whole >= MIN_VISIBLE)
    boxes = np.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), 1).astype(np.float32)
    return boxes[keep], source.classes[keep], source.weights[keep]


def _windows(height: int, width: int, random: Generator, count: int) -> list[tuple[int, int, int, int]]:
    """Return `count` (a square number) windows that tile the canvas in rows, their borders drawn at random."""
    side = math.isqrt(count)
    jitter = JITTER if side > 1 else 0.0
    marks = [(np.arange(1, side) + random.uniform(-jitter, jitter, side - 1)) / side for _ in range(2)]
    xs, ys = ([0, *(int(m * n) for m in own), n] for own, n in zip(marks, (width, height), strict=True))
    return [(xs[i], ys[j], xs[i + 1], ys[j + 1]) for j in range(side) for i in range(side)]


def _cut(donor: Loaded, random: Generator) -> tuple[Pixels, NDArray[np.float32]] | None:
    """Return the only object of `donor` at a random size, with the mask ``[h, w, 1]`` that fades its rim out."""
    height, width = donor.image.shape[:2]
    x1, y1, x2, y2 = (round(float(v)) for v in donor.boxes[0].clip(0, [width, height, width, height]))
    if min(x2 - x1, y2 - y1) < MIN_SIDE:
        return None
    scale = float(np.exp(random.uniform(*np.log(PASTED)))) / float(np.sqrt((x2 - x1) * (y2 - y1)))
    scale = min(scale, PASTED_GROWTH)
    w, h = max(4, round((x2 - x1) * scale)), max(4, round((y2 - y1) * scale))
    crop = np.asarray(cv2.resize(donor.image[y1:y2, x1:x2], (w, h), interpolation=cv2.INTER_AREA), np.uint8)
    if random.random() < 0.5:
        crop = crop[:, ::-1]
    rim = [np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / (0.12 * n) for n in (h, w)]
    mask = np.minimum(rim[0], 1)[:, None] * np.minimum(rim[1], 1)
    return crop, mask[:, :, None].astype(np.float32)


def _paste(canvas: Pixels, taken: NDArray[np.float32], donor: Loaded, random: Generator) -> NDArray[np.float32] | None:
    """Put the object of `donor` on `canvas` clear of the boxes `taken` ``[N, 4]``; return its box, None if no room."""
    cut = _cut(donor, random)
    if cut is None:
        return None
    crop, mask = cut
    (h, w), (height, width) = crop.shape[:2], canvas.shape[:2]
    if h >= height or w >= width:
        return None
    for _ in range(5):
        x, y = int(random.integers(width - w)), int(random.integers(height - h))
        apart = (taken[:, 0] >= x + w) | (taken[:, 2] <= x) | (taken[:, 1] >= y + h) | (taken[:, 3] <= y)
        if apart.all():
            place = canvas[y : y + h, x : x + w]
            place[:] = (place * (1 - mask) + crop * mask).astype(np.uint8)
            return np.array([[x, y, x + w, y + h]], np.float32)
    return None


def compose(
    sources: list[Loaded],
    height: int,
    width: int,
    strength: Strength,
    random: Generator,
    donors: Sequence[Loaded] = (),
) -> Sample:
    """Return one training input of ``[height, width]`` from one source or (a mosaic) from a square number.

    Each of `donors` has one object, which is pasted where it hides nothing. One of class -1 is background, there so
    that a pasted rim alone says nothing.
    """
    canvas = np.full((height, width, 3), PAD, np.uint8)
    windows = _windows(height, width, random, len(sources))
    parts = [_warp(source, canvas, w, strength, random) for source, w in zip(sources, windows, strict=True)]
    boxes = np.concatenate([p[0] for p in parts]).reshape(-1, 4)
    for donor in donors:
        box = _paste(canvas, boxes, donor, random)
        if box is not None:
            boxes = np.concatenate((boxes, box))
            if donor.classes[0] >= 0:
                parts.append((box, donor.classes, donor.weights))
    image, dark = _weathered(canvas, strength, random)
    return Sample(
        image=image,
        boxes=np.concatenate([p[0] for p in parts]).reshape(-1, 4),
        classes=np.concatenate([p[1] for p in parts]),
        weights=np.concatenate([p[2] for p in parts]),
        regions=np.array(windows, np.float32),
        complete=np.stack([s.complete for s in sources]),
        tags=np.zeros_like(sources[0].tags) if dark else _shared(sources),
    )


def _shared(sources: Sequence[Loaded]) -> NDArray[np.int8]:
    """Return of the tags ``[T]`` those that all `sources` agree on; of a scene made of two, nobody knows the rest."""
    first = sources[0].tags
    if any(len(source.tags) != len(first) for source in sources):
        return np.zeros_like(first)
    alike = np.all([source.tags == first for source in sources], axis=0)
    return np.asarray(np.where(alike, first, 0), np.int8)


def photometric(image: Pixels, strength: Strength, random: Generator) -> Pixels:
    """Return `image` as another hour, another weather or a worse camera would have given it."""
    return _weathered(image, strength, random)[0]


def _weathered(image: Pixels, strength: Strength, random: Generator) -> tuple[Pixels, bool]:
    """Return `image` changed, and whether it is night there now, so that what was said of the scene may not hold."""
    if strength.colour and random.random() < 0.9:
        image = _colour(image, strength.colour, random)
    dark = random.random() < strength.night
    if dark:
        image = _night(image, random)
    if random.random() < strength.degrade:
        image = _degrade(image, random)
    return image, dark


def _colour(image: Pixels, amount: float, random: Generator) -> Pixels:
    gain = np.exp(random.uniform(-0.5, 0.5) * amount)
    gamma = np.exp(random.uniform(-0.4, 0.4) * amount)
    tint = np.exp(random.uniform(-0.15, 0.15, 3) * amount)
    level = np.arange(256, dtype=np.float32)[:, None] / 255
    table = (255 * np.clip(gain * tint * level**gamma, 0, 1)).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table.reshape(1, 256, 3)), np.uint8)
    saturation = 1 + random.uniform(-0.8, 0.6) * amount
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(image, saturation, grey, 1 - saturation, 0), np.uint8)


def _night(image: Pixels, random: Generator) -> Pixels:
    dark = random.uniform(0.15, 0.5)
    level = np.arange(256, dtype=np.float32) / 255
    table = (255 * dark * level ** random.uniform(1.0, 1.6)).astype(np.uint8)
    noise = random.normal(0, random.uniform(2, 8), image.shape).astype(np.float32)
    return np.asarray(np.clip(cv2.LUT(image, table).astype(np.float32) + noise, 0, 255), np.uint8)


def _degrade(image: Pixels, random: Generator) -> Pixels:
    kind = int(random.integers(5))
    if kind == 0:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.5, 1.6)), np.uint8)
    if kind == 1:
        kernel = motion_kernel(int(random.integers(3, 8)), random.uniform(0, 180))
        return np.asarray(cv2.filter2D(image, -1, kernel), np.uint8)
    if kind == 2:
        noise = random.normal(0, random.uniform(3, 12), image.shape).astype(np.float32)
        return np.asarray(np.clip(image.astype(np.float32) + noise, 0, 255), np.uint8)
    if kind == 3:
        out = image.copy()
        hit = random.random(image.shape[:2])
        amount = random.uniform(0.002, 0.03)
        out[hit < amount / 2], out[hit > 1 - amount / 2] = 0, 255
        return out
    _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 80))])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)


def motion_kernel(length: int, angle: float) -> NDArray[np.float32]:
    """Return the kernel of a straight motion of `length` pixels at `angle` degrees; its sum is 1."""
    size = length | 1
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2] = 1
    turn = cv2.getRotationMatrix2D((size / 2 - 0.5, size / 2 - 0.5), angle, 1)
    kernel = np.asarray(cv2.warpAffine(kernel, turn, (size, size)), np.float32)
    return kernel / max(float(kernel.sum()), 1e-6)
