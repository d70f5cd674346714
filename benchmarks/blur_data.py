"""Pictures in a known order of blur, made of photographs, for `benchmarks.blur`.

No photograph is in two parts: those that are learned from and those that judge are of other cameras and other pictures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.common import DATA
from central.learn.blur import ranked, semi
from central.learn.blur.degrade import Picture, Sensor, blurred, shrunk

SHRINK = 1 / 0.6
"""Every photograph is made smaller first, which makes it sharp."""
SIGMA = 3.2
"""Strongest blur, pixels."""
KINDS = ("gaussian", "defocus", "motion")
LABELLED, PAIRS, UNLABELLED, JUDGED = 80, 150, 800, 600
"""Crops that people compare, in so many pairs; crops that nobody looked at; crops that judge."""
APART = 0.15
"""Difference of blur, pixels, from which a person is taken to see it."""
NOISE, QUALITY = 6.0, (45, 96)


@dataclass(frozen=True)
class Split:
    """Paths of the photographs to learn from, and of those that judge."""

    train: list[Path]
    judge: list[Path]


def _listed(coco: Path) -> list[Path]:
    return [coco.parent / "images" / image["file_name"] for image in json.loads(coco.read_bytes())["images"]]


def split(folders: Sequence[Path]) -> Split:
    """Return the photographs in `folders`, every fourth to judge; without any, those of the development data."""
    if folders:
        paths = [p for f in folders for p in sorted(f.rglob("*")) if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
        return Split([p for i, p in enumerate(paths) if i % 4], paths[::4])
    photos = sorted((DATA / "multilabel" / "images").glob("*.jpg"))
    street, cars = (_listed(DATA / name / "train.json") for name in ("street", "vehicles"))
    unseen = _listed(DATA / "street" / "val.json"), _listed(DATA / "vehicles" / "val.json")
    if not photos or not street:
        raise OSError(f"{DATA}: the development data is not there; give --images")
    return Split(street * 3 + cars, photos + unseen[0] + unseen[1][:120])


def sensor(random: Generator) -> Sensor:
    """Return a camera with noise and JPEG."""
    return Sensor(
        gain=float(random.uniform(0.5, 1.0)), noise=float(random.uniform(0, NOISE)),
        jpeg=int(random.integers(*QUALITY)), bright=bool(random.random() < 0.5),
    )  # fmt: skip


@dataclass(frozen=True)
class Crops:
    """`regions` ``[N, s, s]`` grey, their blur ``[N]`` in pixels, and its kind ``[N]``."""

    regions: NDArray[np.uint8]
    blur: NDArray[np.float64]
    kinds: list[str]

    def tiles(self) -> NDArray[np.uint8]:
        """Return the middles ``[N, 1, 64, 64]``."""
        return semi.middle(self.regions)


def sharp_region(paths: Sequence[Path], side: int, random: Generator) -> Picture:
    """Return a textured square of a photograph, made smaller. Raises OSError where none is found."""
    for _ in range(1000):
        grey = ranked.read_grey(paths[int(random.integers(len(paths)))])
        if grey is None:
            continue
        small = shrunk(grey, SHRINK) if min(grey.shape) >= SHRINK * side else grey
        region = ranked.region(small, side, random)
        if region is not None:
            return region
    raise OSError("too few photographs with anything to see")


def crops(paths: Sequence[Path], count: int, seed: int) -> Crops:
    """Return `count` crops, each blurred by chance and seen by a camera of its own."""
    random, side = np.random.default_rng(seed), ranked.TILE + 2 * semi.MARGIN
    regions, blur, kinds = [], [], []
    for _ in range(count):
        sigma, kind = float(random.uniform(0, SIGMA)), str(random.choice(KINDS))
        regions.append(blurred(sharp_region(paths, side, random), kind, sigma, random, sensor(random)))
        blur.append(sigma)
        kinds.append(kind)
    return Crops(np.array(regions), np.array(blur), kinds)


def compared(labelled: Crops, count: int, seed: int) -> semi.Pairs:
    """Return `count` pairs of `labelled`, answered rightly."""
    random, total = np.random.default_rng(seed), len(labelled.blur)
    first, second = random.integers(total, size=(2, 20 * count))
    told = np.abs(labelled.blur[first] - labelled.blur[second]) > APART
    first, second = first[told][:count], second[told][:count]
    tiles, order = labelled.tiles(), np.sign(labelled.blur[second] - labelled.blur[first]).astype(np.int64)
    return semi.Pairs(tiles[first], tiles[second], order)


def flat_crops(paths: Sequence[Path], count: int, seed: int) -> list[Picture]:
    """Return `count` sharp tiles with hardly any texture: sky, road, walls. Raises OSError where there are too few."""
    random, found = np.random.default_rng(seed), []
    for _ in range(400 * count):
        grey = ranked.read_grey(paths[int(random.integers(len(paths)))])
        if grey is None:
            continue
        small = shrunk(grey, SHRINK) if min(grey.shape) >= SHRINK * ranked.TILE else grey
        top, left = (int(random.integers(0, max(1, n - ranked.TILE + 1))) for n in small.shape)
        tile = small[top : top + ranked.TILE, left : left + ranked.TILE]
        if (
            tile.shape == (ranked.TILE, ranked.TILE)
            and LOW[0] <= float(cv2.GaussianBlur(tile, (0, 0), 2).std()) < LOW[1]
        ):
            found.append(tile)
        if len(found) == count:
            return found
    raise OSError("too few tiles of little texture")


LOW = (2.0, 6.0)
"""Standard deviation, grey levels, of a tile of little texture."""
HIGH = 20.0
"""The same, of one with much."""
