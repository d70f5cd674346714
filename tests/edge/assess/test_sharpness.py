"""The classical sharpness falls steadily with every further blur, of real photographs too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.runtime.sharpness.detail import sharpness
from edge.runtime.sharpness.patches import TILE, inside, parts_of, patches
from edge.sources import Image, open_source
from edge.sources.folder import read_image

Blur = Callable[[Image], Image]


def defocus(sigma: float) -> Blur:
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def motion(length: int, degrees: float) -> Blur:
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1.0
    turned = cv2.warpAffine(kernel, cv2.getRotationMatrix2D((length // 2, length // 2), degrees, 1.0), (length, length))
    return lambda image: np.asarray(cv2.filter2D(image, -1, turned / turned.sum()), np.uint8)


LADDERS: dict[str, list[Blur]] = {
    "defocus": [defocus(s) for s in (0.5, 0.8, 1.2, 1.8, 2.6, 3.6, 5.0, 7.0)],
    **{f"motion {d}": [motion(n, d) for n in (3, 5, 7, 11, 15, 21)] for d in (0, 45, 90)},
}


def photographs(data: Path) -> Iterator[tuple[str, Image]]:
    for pattern in ("multilabel/images/*", "vehicles/images/*", "street/images/*/*", "sequence/images/*"):
        for path in islice(sorted(data.glob(pattern)), 0, 200, 80):
            image = read_image(path)
            if image is not None:
                yield path.name, image
    for name in ("carpark.mp4", "corridor.mp4"):
        source = open_source(str(data / "video" / name), "c")
        yield name, next(iter(source.frames())).image
        source.close()


@pytest.mark.parametrize("kind", LADDERS)
def test_sharpness__falls_steadily_on_real_photographs(shared_data: Path, kind: str) -> None:
    seen = 0
    for name, image in photographs(shared_data):
        values = [sharpness(image), *(sharpness(blur(image)) for blur in LADDERS[kind])]
        assert all(a > b for a, b in pairwise(values)), (name, values)
        seen += 1
    assert seen >= 8


def test_sharpness__is_about_half_at_one_and_a_half_pixels(shared_data: Path) -> None:
    values = [sharpness(defocus(1.5)(image)) for _, image in photographs(shared_data)]
    assert 0.35 < float(np.median(values)) < 0.65


@pytest.mark.parametrize("shape", [(300, 400, 3), (300, 400), (7, 900, 3), (900, 7, 3), (64, 64, 3)])
def test_patches__are_whole_tiles_of_the_picture(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    whole, some = patches(image, 10**9), patches(image, 200 * 200)
    assert all(side % TILE == 0 or side < TILE for side in whole.shape)
    assert some.size <= max(200 * 200, whole.size)
    if parts_of(image, 200 * 200) > 1:
        assert all(side % (3 * TILE) == 0 or side < 3 * TILE for side in some.shape)


def test_inside__leaves_the_seams_out() -> None:
    grid = np.arange(12 * 12, dtype=np.float32).reshape(12, 12)
    assert inside(grid, 1).shape == (12, 12)
    assert inside(grid, 3).tolist() == grid[np.ix_([1, 2, 5, 6, 9, 10], [1, 2, 5, 6, 9, 10])].tolist()
    assert inside(grid[:6, :6], 3).shape == (6, 6)  # too few to leave any out
