"""Crops, maps and colours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from central.learn.ssl import views

RANDOM = np.random.default_rng


@pytest.mark.parametrize("frame", [1.0, 16 / 9, 0.6])
def test_two_crops__overlap_and_stay_inside(frame: float) -> None:
    random = RANDOM(0)
    for _ in range(100):
        pair = views.two_crops(frame, 1.0, random)
        assert views.iou(*pair) >= views.OVERLAP
        for crop in pair:
            assert 0 <= crop.left < crop.right <= 1 + 1e-9 and 0 <= crop.top < crop.bottom <= 1 + 1e-9
            assert crop.area >= 0.3 - 1e-9


@pytest.mark.parametrize("flipped", [False, True])
def test_affine__says_where_a_pixel_goes(flipped: bool) -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[40:44, 120:124] = 255
    crop = views.snapped(views.Crop(0.4, 0.2, 0.8, 0.7, flipped), 100, 200)
    shown = views.cut(image, crop, 64, 96)
    y, x = np.argwhere(shown[..., 0] > 100).mean(axis=0) + 0.5
    matrix = views.affine(crop, 64, 96)
    assert matrix[:, :2] @ [122 / 200, 42 / 100] + matrix[:, 2] == pytest.approx([x, y], abs=1.0)


def test_place__boxes_of_a_mirrored_view_are_ordered() -> None:
    matrix = views.affine(views.Crop(0, 0, 1, 1, True), 50, 100)
    placed = views.place(np.array([[0.1, 0.2, 0.3, 0.6]], np.float32), matrix)
    assert placed == pytest.approx(np.array([[70, 10, 90, 30]]), abs=1e-4)


def test_seen__whole_cut_and_tiny() -> None:
    placed = np.array([[10, 10, 30, 30], [-15, 10, 10, 30], [5, 5, 9, 9]], np.float32)
    assert views.seen(placed, 64, 64).tolist() == [True, False, False]


def test_shaken__within_a_tenth() -> None:
    placed = np.tile(np.array([[20, 20, 40, 40]], np.float32), (200, 1))
    gap = np.abs(views.shaken(placed, RANDOM(1), 64, 64) - placed)
    assert 0 < gap.max() <= 2 and 0.3 < (gap.max(axis=1) > 0).mean() < 0.7


def test_recoloured__same_seed_same_colours() -> None:
    image = RANDOM(2).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    assert np.array_equal(views.recoloured(image, RANDOM(5), 0.5), views.recoloured(image, RANDOM(5), 0.5))


def test_recoloured__sometimes_grey_and_never_blurred_when_clean() -> None:
    image = cv2.resize(RANDOM(3).integers(0, 255, (4, 4, 3)).astype(np.uint8), (32, 32))
    many = [views.recoloured(image, RANDOM(i), 0.0) for i in range(200)]
    grey = np.mean([np.ptp(m.astype(int), axis=2).max() <= 2 for m in many])
    assert 0.1 < grey < 0.3


def test_close_crop__holds_the_object_and_not_much_more() -> None:
    random = np.random.default_rng(4)
    for _ in range(200):
        left, top = random.uniform(0.1, 0.7, 2)
        box = np.array([left, top, left + random.uniform(0.02, 0.2), top + random.uniform(0.02, 0.2)], np.float32)
        crop = views.close_crop(box, 16 / 9, 1.0, random)
        assert 0 <= crop.left < crop.right <= 1 and 0 <= crop.top < crop.bottom <= 1
        matrix = views.affine(crop, 96, 96)
        x1, y1, x2, y2 = views.place(box[None], matrix)[0]
        assert 96 / 3 <= max(x2 - x1, y2 - y1) <= 96 * 1.2, "it fills a third of the view or more"
        assert 0 <= (x1 + x2) / 2 <= 96 and 0 <= (y1 + y2) / 2 <= 96
