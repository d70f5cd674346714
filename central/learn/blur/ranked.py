"""Tiles in a known order, from images without labels: each place in several versions, more blurred each time.

An image is made smaller first, which makes it sharp; then it is blurred by kernels of one kind and rising strength,
seen by a sensor with noise, little light and JPEG, and made smaller again, as it is at the coarser scales of a picture.
The sensor often differs from version to version: neither noise nor light nor compression may tell.
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

from central.learn.blur.degrade import KERNELS, LEAST, Picture, Sensor, linear, sense, shrunk, spread
from central.learn.data.dataset import read_image

TILE: Final = 64
VERSIONS: Final = 4
"""Of each place; the first is as sharp as it gets."""
STRONGEST: Final = (0.4, 7.0)
"""Blur of the last version, pixels of the tile: drawn evenly on a logarithmic scale."""
SHARPER: Final = (1.0, 2.5)
"""How many times smaller an image is made before anything else."""
SCALES: Final = (1, 1, 1, 2, 2, 4)
"""How many times smaller the blurred picture is made: tiles of a large picture are looked at that way, too."""
MARGIN: Final = 16
"""Pixels around a tile that its blur comes from."""
TEXTURE: Final = 2.5
"""Standard deviation, grey levels, of a smoothed sharp tile from which its blur can be seen."""
TRIES: Final = 40


@dataclass(frozen=True)
class Ranked:
    """`tiles` ``[N, V, TILE, TILE]`` grey uint8 and `blur` ``[N, V]``: standard deviation in pixels of the tile that
    was added, rising; `kinds` ``[N]`` names of kernels; `images` ``[N]`` place of the image in the list."""

    tiles: NDArray[np.uint8]
    blur: NDArray[np.float32]
    kinds: NDArray[np.str_]
    images: NDArray[np.int64]


def draw_sensor(random: Generator) -> Sensor:
    """Return a camera: good ones, noisy ones, dark ones; half of them with JPEG."""
    return Sensor(
        gain=1.0 if random.random() < 0.6 else float(np.exp(random.uniform(np.log(0.1), 0))),
        noise=0.0 if random.random() < 0.3 else float(random.uniform(0.5, 8)),
        jpeg=0 if random.random() < 0.4 else int(random.integers(45, 97)),
        bright=bool(random.random() < 0.5),
    )


def textured(tile: Picture) -> bool:
    """Whether there is something in `tile` whose blur can be seen."""
    return float(cv2.GaussianBlur(tile, (0, 0), 2.0).std()) >= TEXTURE


def region(grey: Picture, side: int, random: Generator) -> Picture | None:
    """Return a textured square of `side` pixels; None where there is none, or no room for it."""
    if min(grey.shape) < side:
        return None
    for _ in range(8):
        top, left = (int(random.integers(0, length - side + 1)) for length in grey.shape)
        part = grey[top : top + side, left : left + side]
        if textured(part[side // 4 : -side // 4, side // 4 : -side // 4]):
            return part
    return None


def unsharp(picture: Picture, amount: float) -> Picture:
    """Return `picture` sharpened as cameras do after the fact."""
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
    return np.asarray(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), np.uint8)


def family(region: Picture, scale: int, random: Generator) -> tuple[list[Picture], list[float], str]:
    """Return the versions of a sharp `region`, `scale` times smaller, their blur in pixels after that, and its kind."""
    strongest = float(np.exp(random.uniform(*np.log(STRONGEST))))
    strengths = [0.0, *sorted(strongest * random.uniform(0.15, 0.9, VERSIONS - 2)), strongest]
    kind = str(random.choice(list(KERNELS)))
    sensor, varied, state = draw_sensor(random), random.random() < 0.5, int(random.integers(2**31))
    sharpening = float(random.uniform(0.3, 1.5)) if random.random() < 0.25 else 0.0
    light, made = linear(region), []
    for strength in strengths:
        kernel = KERNELS[kind](strength * scale, np.random.default_rng(state)) if strength * scale > LEAST else None
        one = draw_sensor(random) if varied else sensor
        jpeg = one.jpeg
        picture = sense(spread(light, kernel), replace(one, jpeg=0), random)
        if sharpening:
            picture = unsharp(picture, sharpening)
        if jpeg:
            picture = sense(linear(picture), Sensor(jpeg=jpeg), random)
        small = shrunk(picture, scale) if scale > 1 else picture
        edge = (small.shape[0] - TILE) // 2
        made.append(small[edge : edge + TILE, edge : edge + TILE])
    return made, strengths, kind


def read_grey(path: Path) -> Picture | None:
    """Return the image at `path`, grey; None where it cannot be read."""
    image = read_image(str(path))
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def draw(paths: Sequence[Path], count: int, seed: int, report: Callable[[int], None] = lambda done: None) -> Ranked:
    """Return `count` places of the images in `paths`. Raises ValueError where hardly any place shows anything."""
    random = np.random.default_rng(seed)
    tiles: list[list[Picture]] = []
    blur, kinds, images = [], [], []
    misses = 0
    while len(tiles) < count:
        index, scale = int(random.integers(len(paths))), int(random.choice(SCALES))
        grey = read_grey(paths[index])
        side = scale * (TILE + 2 * MARGIN)
        part = None
        if grey is not None:
            most = max(1.0, min(grey.shape) / side)
            part = region(shrunk(grey, random.uniform(1.0, min(SHARPER[1], most))), side, random)
        if part is None:
            misses += 1
            if misses > TRIES * count:
                raise ValueError(f"{paths[0].parent}: too few places with anything to see; give other images")
            continue
        made, strengths, kind = family(part, scale, random)
        tiles.append(made)
        blur.append(strengths)
        kinds.append(kind)
        images.append(index)
        report(len(tiles))
    return Ranked(np.array(tiles), np.array(blur, np.float32), np.array(kinds), np.array(images))
