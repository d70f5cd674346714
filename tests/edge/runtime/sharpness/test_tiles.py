"""Where tiles are looked at, what becomes of them, and the tile model that ships, on real photographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.runtime import Float, RuntimeFault, packs
from edge.runtime.prepare import Image
from edge.runtime.sharpness import tiles
from edge.runtime.sharpness.learned import TOLERANCE, TileModel
from edge.runtime.sharpness.tiles import TILE


class Bright:
    """Takes the mean of a tile for its blur."""

    def run(self, inputs: NDArray[np.generic]) -> dict[str, Float]:
        return {"blur": np.asarray(inputs, np.float32).mean(axis=(1, 2, 3)) / 255}


@pytest.mark.parametrize(
    ("shape", "scales"),
    [((20, 30, 3), 1), ((64, 64), 1), ((127, 400, 3), 1), ((128, 128, 3), 2), ((270, 480), 3), ((600, 700, 3), 4)],
)
def test_look__takes_any_picture(shape: tuple[int, ...], scales: int) -> None:
    seen = tiles.look(np.full(shape, 51, np.uint8), Bright(), 3)
    assert len(seen.scales) == scales and seen.blur == pytest.approx(0.2, abs=1e-6)
    assert seen.tiles <= 3 * scales


def test_places__are_where_structure_is() -> None:
    grey = np.full((4 * TILE, 6 * TILE), 90, np.uint8)
    grey[TILE : 2 * TILE, 3 * TILE : 4 * TILE] = (
        np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    )
    assert tiles.places(grey, 1) == [(TILE, 3 * TILE)]
    found = tiles.places(grey, 100)
    assert len(found) == len(set(found)) == 24


def test_places__are_those_of_the_sharp_picture_after_a_blur() -> None:
    random = np.random.default_rng(0)
    grey = cv2.resize(random.integers(0, 256, (12, 20)).astype(np.uint8), (640, 384), interpolation=cv2.INTER_CUBIC)
    soft = np.asarray(cv2.GaussianBlur(grey, (0, 0), 3), np.uint8)
    assert len(set(tiles.places(np.asarray(grey, np.uint8), 12)) & set(tiles.places(soft, 12))) >= 10


class Told:
    """A model that says of the tiles of each scale what it was told. Implements `Runs`."""

    def __init__(self, *blur: float) -> None:
        self.blur = np.array(blur, np.float32)

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        return {"blur": self.blur[: len(inputs)]}


def test_pooled__the_sharpest_count() -> None:
    logits = np.array([-4.0, *[4.0] * 10])
    assert tiles.pooled(logits) == pytest.approx(4.0) and tiles.pooled(logits[:5]) < 0


@pytest.mark.parametrize(
    ("blur", "expected"),
    [((0.5,) * 5, 0.5), ((0.0,) * 5, 1e-7), ((1.0,) * 5, 1 - 1e-7), ((0.9, 0.9, 0.9, 0.9, 0.1), 0.445)],
)
def test_look__half_of_each_scale_and_half_of_all(blur: tuple[float, ...], expected: float) -> None:
    """Of a picture with four tiles at native resolution and one at half of it; neither 0 nor 1 is infinite."""
    seen = tiles.look(np.zeros((128, 128), np.uint8), Told(*blur))
    assert seen.tiles == 5 and seen.blur == pytest.approx(expected, abs=2e-3)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> TileModel:
    return TileModel(packs.find("base", tmp_path_factory.mktemp("packs")))


def test_base__proves_its_tile_model(base: TileModel) -> None:
    assert base.gap() <= TOLERANCE


def test_base__knows_what_blur_costs(base: TileModel) -> None:
    sharp, soft = base.lost(0.9), base.lost(0.02)
    assert sharp is not None and soft is not None and sharp < 20 < soft


def test_tile_model__a_pack_without_one(tmp_path: Path, make_pack: object) -> None:
    assert callable(make_pack)
    with pytest.raises(RuntimeFault, match="train blur"):
        TileModel(make_pack())


def disc(image: Image, radius: float) -> Image:
    reach = np.arange(-int(radius) - 2, int(radius) + 3)
    kernel = np.clip(radius + 0.5 - np.hypot(reach[:, None], reach[None]), 0, 1)
    linear = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
    light = cv2.filter2D(linear[image], -1, kernel / kernel.sum())
    noise = 0.004 * np.random.default_rng(0).standard_normal(light.shape, np.float32)
    return np.asarray(255 * np.clip(light + noise, 0, 1) ** np.float32(1 / 2.2), np.uint8)


@pytest.mark.parametrize("folder", ["multilabel/images", "vehicles/images", "street/images"])
@pytest.mark.parametrize("radius", [1.5, 3.0, 8.0])
def test_base__every_photograph_is_before_its_defocused_version(
    shared_data: Path, base: TileModel, folder: str, radius: float
) -> None:
    paths = sorted((shared_data / folder).rglob("*.jpg"))
    for path in paths[:: max(1, len(paths) // 8)]:
        image = np.asarray(cv2.imread(str(path)), np.uint8)
        assert base.score(image) > base.score(disc(image, radius)), path.name


@pytest.mark.parametrize("side", [48, 96, 3000])
def test_base__at_any_size(shared_data: Path, base: TileModel, side: int) -> None:
    paths = sorted((shared_data / "multilabel/images").rglob("*.jpg"))[:: 20 if side < 3000 else 64]
    for path in paths:
        whole = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
        height, width = whole.shape
        image = (
            np.asarray(cv2.resize(whole, (side, side * height // width), interpolation=cv2.INTER_CUBIC), np.uint8)
            if side > width
            else np.ascontiguousarray(whole[(height - side) // 2 :, (width - side) // 2 :][:side, :side])
        )
        if image.std() > 25:
            assert base.score(image) > base.score(disc(image, max(2.0, side / 150))), (path.name, side)
