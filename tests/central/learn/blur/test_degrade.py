"""Blur of known strength."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from central.learn.blur import ranked, semi
from central.learn.blur.degrade import KERNELS, Sensor, blurred, linear, sense


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("sigma", [1.0, 2.5, 6.0])
def test_kernels__of_one_strength_have_one_second_moment(kind: str, sigma: float) -> None:
    kernel = KERNELS[kind](sigma, np.random.default_rng(1)).astype(np.float64)
    reach = np.arange(len(kernel)) - len(kernel) // 2
    down, across = (kernel.sum(axis=axis) for axis in (1, 0))
    moments = [(weight * reach**2).sum() - (weight * reach).sum() ** 2 for weight in (down, across)]
    assert kernel.sum() == pytest.approx(1.0, abs=1e-4)
    assert np.sqrt(np.mean(moments)) == pytest.approx(sigma, rel=0.12)


def test_sense__gives_back_what_was_there() -> None:
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (sense(linear(picture), Sensor(), np.random.default_rng(0)) == picture).all()


def test_blurred__light_is_spread_not_grey_levels() -> None:
    """A small lamp in the dark stays brighter in linear light than in grey levels."""
    picture = np.zeros((41, 41), np.uint8)
    picture[20, 20] = 255
    seen = blurred(picture, "defocus", 2.0, np.random.default_rng(0))
    assert seen.max() > 2 * cv2.GaussianBlur(picture, (0, 0), 2.0).max()


def test_sense__noise_and_jpeg_come_after() -> None:
    grey = np.full((64, 64), 128, np.uint8)
    noisy = sense(linear(grey), Sensor(noise=8), np.random.default_rng(0))
    assert 3 < noisy.std() < 9
    assert sense(linear(noisy), Sensor(jpeg=20), np.random.default_rng(0)).std() < noisy.std()


def test_family__blur_rises_and_detail_falls() -> None:
    region = np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.uint8)
    for seed in range(20):
        tiles, strengths, kind = ranked.family(region, 1, np.random.default_rng(seed))
        assert kind in KERNELS and strengths == sorted(strengths) and strengths[0] == 0.0
        assert all(tile.shape == (ranked.TILE, ranked.TILE) for tile in tiles)


def test_draw__is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise = cv2.GaussianBlur(np.random.default_rng(0).random((300, 400)).astype(np.float32), (0, 0), 3)
    cv2.imwrite(str(path), (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8))
    one, other = (ranked.draw([path], 3, 5) for _ in range(2))
    assert (one.tiles == other.tiles).all() and (one.blur == other.blur).all()
    assert one.tiles.shape == (3, ranked.VERSIONS, ranked.TILE, ranked.TILE)


def test_draw__needs_something_to_see(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((200, 200), np.uint8))
    with pytest.raises(ValueError, match="too few places"):
        ranked.draw([path], 1, 0)


def test_draw_common__is_the_same_for_all() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (80, 80)).astype(np.uint8)
    for seed in range(8):
        degrade = semi.draw_common(np.random.default_rng(seed))
        assert (degrade(picture) == degrade(picture)).all()
