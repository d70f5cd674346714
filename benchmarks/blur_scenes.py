"""Photographs and their blurred versions, blurred as nothing was that the tile model learned from.

    photograph -> scene (portrait, night, bokeh, snow, 12 megapixels ...)  -> camera                -> sharp picture
                                           -> framed a little otherwise -> blur -> camera, retake   -> blurred ones

Blurs: the trace of a hand that shakes, stops and jerks; an iris of straight blades; a depth that puts one side of the
picture further out of focus; a camera that rolls, zooms, or reads its rows one after another while it is turned; a
picture of lower resolution, made larger. Half of the blurred pictures are retakes: other framing, light and noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from central.learn.blur.degrade import Light, Picture, Sensor, compressed, linear, sense
from central.learn.blur.ranked import read_grey, unsharp

SEVERITIES: Final = {"mild": (0.0012, 0.9), "clear": (0.003, 1.8), "strong": (0.008, 4.0), "severe": (0.02, 8.0)}
"""Standard deviation of a blur over the longer side of a picture, and the least of it in pixels."""
PATHS: Final = 24
"""Positions of a moving camera whose pictures are added up, at most."""

Blur = Callable[[Light, float, Generator], Light]
"""Light and a standard deviation in pixels -> blurred light."""


def _filtered(light: Light, kernel: NDArray[np.float64]) -> Light:
    made = cv2.filter2D(light, -1, (kernel / kernel.sum()).astype(np.float32), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(made, np.float32)


def trace(light: Light, sigma: float, random: Generator) -> Light:
    """The path of a hand: a particle with inertia, pulled back, now and then jerked, at times nearly at rest."""
    place, speed = np.zeros(2), random.normal(size=2)
    points = []
    for _ in range(400):
        if random.random() < 0.01:
            speed = -0.6 * speed + 3 * random.normal(size=2)
        if random.random() < 0.02:
            speed *= 0.1
        speed += 0.25 * random.normal(size=2) - 0.004 * place
        speed /= max(1.0, float(np.hypot(*speed)) / 3)
        place = place + speed
        points.append(place)
    path = np.array(points) - np.mean(points, axis=0)
    path *= sigma / max(1e-6, float(np.sqrt((path**2).sum(axis=1).mean() / 2)))
    half = int(np.ceil(np.abs(path).max())) + 2
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    dense = np.stack([np.interp(np.linspace(0, len(path) - 1, 4000), np.arange(len(path)), path[:, i]) for i in (0, 1)])
    np.add.at(kernel, tuple(np.rint(dense).astype(int) + half), 1.0)
    return _filtered(light, np.asarray(cv2.GaussianBlur(kernel, (3, 3), 0.5), np.float64))


def iris(light: Light, sigma: float, random: Generator) -> Light:
    """An aperture of five to eight straight blades, brighter at its rim or its middle, at times cut off at a side."""
    blades, turn = int(random.integers(5, 9)), float(random.uniform(0, np.pi))
    half = int(np.ceil(2.6 * sigma)) + 2
    fine = 4 if sigma < 6 else 1
    reach = (np.arange((2 * half + 1) * fine) + 0.5) / fine - half - 0.5
    x, y = np.meshgrid(reach, reach)
    angles = turn + 2 * np.pi * np.arange(blades) / blades
    depth = np.max([x * np.cos(a) + y * np.sin(a) for a in angles], axis=0) / (2.15 * sigma)
    shape = (depth <= 1) * (1 + float(random.uniform(-0.5, 1.5)) * np.clip(depth, 0, 1) ** 4)
    if random.random() < 0.3:
        shape = shape * (np.hypot(x - sigma, y) < 2.4 * sigma)
    kernel = cv2.resize(shape, (2 * half + 1, 2 * half + 1), interpolation=cv2.INTER_AREA)
    return _filtered(light, np.asarray(kernel, np.float64))


def depth(light: Light, sigma: float, random: Generator) -> Light:
    """Out of focus everywhere, on one side and in some bodies twice to four times as much as elsewhere."""
    height, width = light.shape
    angle = random.uniform(0, 2 * np.pi)
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    away = (x * np.cos(angle) + y * np.sin(angle)) / 2.8 + 0.5
    for _ in range(3):
        centre, size = random.uniform(-0.8, 0.8, 2), random.uniform(0.1, 0.4, 2)
        away[((x - centre[0]) / size[0]) ** 2 + ((y - centre[1]) / size[1]) ** 2 < 1] = random.random()
    planes = [iris(light, sigma * part, np.random.default_rng(7)) for part in (0.6, 1.0, 1.5)]
    away = np.clip(cv2.GaussianBlur(away, (0, 0), max(1.0, sigma)), 0, 1) * 2
    low, high = np.clip(1 - away, 0, 1), np.clip(away - 1, 0, 1)
    return np.asarray(planes[0] * low + planes[1] * (1 - low - high) + planes[2] * high, np.float32)


def _added(light: Light, maps: Sequence[NDArray[np.float64]]) -> Light:
    total = np.zeros_like(light)
    size = (light.shape[1], light.shape[0])
    for matrix in maps:
        total += cv2.warpAffine(light, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(total / len(maps), np.float32)


def _count(sigma: float) -> int:
    return int(np.clip(4 * sigma, 8, PATHS))


def roll(light: Light, sigma: float, random: Generator) -> Light:
    """The camera is turned about its axis, and drifts."""
    height, width = light.shape
    reach = np.hypot(height, width) / 2
    angle = np.degrees(3.4 * sigma / reach) * (1 if random.random() < 0.5 else -1)
    drift, centre = random.normal(size=2) * 1.2 * sigma, (width / 2 + random.normal() * width / 4, height / 2)
    maps = []
    for at in np.linspace(-0.5, 0.5, _count(sigma)):
        matrix = cv2.getRotationMatrix2D(centre, at * 2 * angle, 1.0)
        matrix[:, 2] += at * 2 * drift
        maps.append(np.asarray(matrix, np.float64))
    return _added(light, maps)


def zoom(light: Light, sigma: float, random: Generator) -> Light:
    """The camera moves forward, and drifts."""
    height, width = light.shape
    share, drift = 5 * sigma / (np.hypot(height, width) / 2), random.normal(size=2) * 1.5 * sigma
    maps = []
    for at in np.linspace(-0.5, 0.5, _count(sigma)):
        matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), 0.0, 1 + at * share), np.float64)
        matrix[:, 2] += at * 2 * drift
        maps.append(matrix)
    return _added(light, maps)


def rows(light: Light, sigma: float, random: Generator) -> Light:
    """The rows are read one after another while the camera turns: further below, it moves otherwise."""
    height, width = light.shape
    first, last = random.normal(size=2), random.normal(size=2)
    first, last = (v / np.hypot(*v) * sigma * 2.4 * random.uniform(0.7, 1.3) for v in (first, last))
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    speed = [(first[i] + (last[i] - first[i]) * down).astype(np.float32) for i in (0, 1)]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    total = np.zeros_like(light)
    steps = np.linspace(-1, 1, _count(sigma), dtype=np.float32)
    for at in steps:
        total += cv2.remap(light, x + at * speed[0], y + at * speed[1], cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REFLECT_101)  # fmt: skip
    return np.asarray(total / len(steps), np.float32)


def coarse(light: Light, sigma: float, random: Generator) -> Light:
    """Of lower resolution, and made larger again."""
    by = 1 + 2.2 * sigma
    size = tuple(max(8, round(n / by)) for n in light.shape[::-1])
    small = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    how = cv2.INTER_CUBIC if random.random() < 0.5 else cv2.INTER_LINEAR
    return np.asarray(np.clip(cv2.resize(small, light.shape[::-1], interpolation=how), 0, 1), np.float32)


BLURS: Final[dict[str, Blur]] = {
    "trace": trace, "iris": iris, "depth": depth, "roll": roll, "zoom": zoom, "rows": rows, "coarse": coarse,
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """What is seen, `light` ``[h, w]``, of what `kind`, and by what `camera`."""

    kind: str
    light: Light
    camera: Sensor


def _photo(paths: Sequence[Path], random: Generator) -> Picture:
    for _ in range(100):
        grey = read_grey(paths[int(random.integers(len(paths)))])
        if grey is not None and float(grey.std()) > 8:
            return grey
    raise OSError(f"{paths[0].parent}: a hundred pictures in a row that cannot be read or show nothing")


def portrait(picture: Picture, random: Generator) -> Light:
    """The middle of a picture, upright."""
    height, width = picture.shape
    side = max(64, min(width, round(height * 9 / 16)))
    left = int(random.integers(0, max(1, width - side + 1)))
    return linear(np.ascontiguousarray(picture[:, left : left + side]))


def pale(picture: Picture, random: Generator) -> Light:
    """As in snow or fog: light nearly everywhere, and of little contrast."""
    return np.asarray(0.55 + 0.3 * linear(picture) * float(random.uniform(0.3, 1.0)), np.float32)


def sky(picture: Picture, random: Generator) -> Light:
    """Three quarters of nothing but a slow change of light, and the picture below."""
    height, width = picture.shape
    seen = linear(picture).copy()
    end = round(height * float(random.uniform(0.6, 0.75)))
    fall = np.linspace(0.75, 0.55, end, dtype=np.float32)[:, None] + np.linspace(0, 0.05, width, dtype=np.float32)
    seen[:end] = fall
    return seen


def bokeh(picture: Picture, random: Generator) -> Light:
    """A sharp body before a background far out of focus."""
    light = linear(picture)
    height, width = light.shape
    behind = iris(light, max(2.0, float(random.uniform(0.008, 0.02)) * max(light.shape)), random)
    mask = np.zeros(light.shape, np.float32)
    centre = (int(width * random.uniform(0.3, 0.7)), int(height * random.uniform(0.4, 0.7)))
    cv2.ellipse(mask, centre, (round(width * 0.16), round(height * 0.28)), 0.0, 0.0, 360.0, 1.0, -1)
    return np.asarray(light * mask + behind * (1 - mask), np.float32)


def small(picture: Picture, random: Generator) -> Light:
    """A picture of a few hundred pixels, as objects are."""
    by = float(random.uniform(2, 5)) * max(picture.shape) / 960
    if by > 1 and min(picture.shape) / by >= 64:
        size = (round(picture.shape[1] / by), round(picture.shape[0] / by))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return linear(picture)


def large(paths: Sequence[Path], random: Generator) -> Light:
    """A picture of 2 to 12 megapixels: many photographs, each as sharp as one of that size is."""
    across, cell = int(random.integers(3, 8)), (576, 432)
    many = [
        [cv2.resize(_photo(paths, random), cell, interpolation=cv2.INTER_AREA) for _ in range(across)]
        for _ in range(across)
    ]
    light = linear(np.asarray(np.vstack([np.hstack(line) for line in many]), np.uint8))
    return np.asarray(cv2.GaussianBlur(light, (0, 0), float(random.uniform(0.5, 1.1))), np.float32)


def _plain(picture: Picture, random: Generator) -> Light:
    return linear(picture)


KINDS: Final[dict[str, Callable[[Picture, Generator], Light]]] = {
    "plain": _plain, "portrait": portrait, "small": small, "pale": pale, "sky": sky, "bokeh": bokeh, "night": _plain,
    "noisy": _plain,
}  # fmt: skip
LARGE: Final = "large"


def camera(kind: str, random: Generator) -> Sensor:
    """Return a camera that takes scenes of `kind`."""
    night, noisy = kind == "night", kind == "noisy"
    low, high = (1, 4) if night else (7, 16) if noisy else (0, 4)
    return Sensor(
        gain=float(random.uniform(0.06, 0.3)) if night else 1.0, noise=float(random.uniform(low, high)),
        bright=bool(random.random() < 0.6), jpeg=int(random.integers(55, 97)) if random.random() < 0.8 else 0,
    )  # fmt: skip


def scene(kind: str, paths: Sequence[Path], random: Generator) -> Scene:
    """Return a scene of `kind`: a key of KINDS, or LARGE. Raises OSError where nothing can be read."""
    light = large(paths, random) if kind == LARGE else KINDS[kind](_photo(paths, random), random)
    return Scene(kind, light, camera(kind, random))


def reframed(light: Light, random: Generator) -> Light:
    """Return `light` from a little beside: shifted by up to 3 %, turned by up to 2 degrees, 3 % nearer or further."""
    height, width = light.shape
    angle, near = float(random.uniform(-2, 2)), float(random.uniform(0.97, 1.03))
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), angle, near), np.float64)
    matrix[:, 2] += random.uniform(-0.03, 0.03, 2) * (width, height)
    made = cv2.warpAffine(light, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(np.clip(made, 0, 1), np.float32)


def taken(light: Light, by: Sensor, sharpening: float, random: Generator) -> Picture:
    """Return the picture that a camera makes of `light`: sensor, sharpening after the fact, JPEG."""
    picture = sense(light, replace(by, jpeg=0), random)
    if sharpening:
        picture = unsharp(picture, sharpening)
    return compressed(picture, by.jpeg) if by.jpeg else picture


@dataclass(frozen=True)
class Shot:
    """A blurred version: `blur` is a key of BLURS, `severity` of SEVERITIES."""

    blur: str
    severity: str
    picture: Picture
    retake: bool


def shots(seen: Scene, random: Generator) -> tuple[Picture, list[Shot]]:
    """Return the sharp picture of `seen`, and a blurred version of each severity."""
    sharpening = float(random.choice((0.0, 0.0, 0.5, 1.0)))
    sharp, found = taken(seen.light, seen.camera, sharpening, random), []
    for severity, (share, least) in SEVERITIES.items():
        blur, retake = str(random.choice(list(BLURS))), bool(random.random() < 0.5)
        light, by = seen.light, seen.camera
        if retake:
            light = np.asarray(np.clip(reframed(light, random) * random.uniform(0.75, 1.25), 0, 1), np.float32)
            by = replace(by, noise=by.noise * float(np.exp(random.uniform(-0.5, 0.5))))
        if by.jpeg:
            by = replace(by, jpeg=int(np.clip(by.jpeg + random.integers(-10, 11), 40, 97)))
        soft = BLURS[blur](light, max(least, share * max(light.shape)), random)
        found.append(Shot(blur, severity, taken(soft, by, sharpening, random), retake))
    return sharp, found
