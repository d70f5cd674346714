"""The synthetic street: deterministic, exact, different per seed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.street import LABELS
from edge.street.camera import Street
from edge.street.coco import write_coco


@pytest.mark.parametrize("options", [{}, {"hour": 22.0}, {"rain": 0.7}, {"hour": 18.5, "defocus": 2.0, "shake": 1.0}])
def test_render__same_again_in_any_order(options: dict[str, float]) -> None:
    first, second = (Street(3, 320, 180, **options) for _ in range(2))  # type: ignore[arg-type]
    second.render(9.0)
    image, truth = first.render(4.2)
    again, same = second.render(4.2)
    assert np.array_equal(image, again)
    assert truth == same


def test_seeds__are_different_cameras() -> None:
    pictures = [Street(seed, 160, 90, noise=0.0).render(1.0)[0].astype(float) for seed in range(5)]
    assert min(np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]) > 10


def test_truth__inside_the_picture_and_known() -> None:
    for seed in range(4):
        for truth in Street(seed, 320, 180).render(7.0)[1]:
            x1, y1, x2, y2 = truth.box
            assert 0 <= x1 < x2 <= 320 and 0 <= y1 < y2 <= 180
            assert truth.label in LABELS and 0 < truth.visible <= 1 and truth.track > 0


def test_truth__every_class_appears() -> None:
    seen = {
        truth.label
        for street in (Street(1, 160, 90), Street(4, 160, 90))
        for t in range(0, 200, 20)
        for truth in street.render(t)[1]
    }
    assert seen == set(LABELS)


def test_truth__boxes_are_where_pixels_change() -> None:
    """Against the empty backdrop, what differs lies in the boxes (widened for shadows), and every large box differs."""
    street = Street(1, 640, 360, noise=0.0, rain=0.4)
    image, truths = street.render(11.0)
    empty, _ = street._lens.finish(street.backdrop.image.copy(), 11.0)
    difference = cv2.absdiff(image, empty).max(axis=2)
    change = difference > 25
    covered = np.zeros_like(change)
    for truth in truths:
        x1, y1, x2, y2 = (int(v) for v in truth.box)
        if truth.visible > 0.5 and (x2 - x1) * (y2 - y1) > 400:
            assert (difference[y1:y2, x1:x2] > 10).mean() > 0.3, truth
        covered[max(0, y1 - 4) : y2 + 8, max(0, x1 - 8) : x2 + 8] = True
    assert change[~covered].mean() < 0.01


def test_tracks__move_smoothly() -> None:
    street = Street(1, 640, 360)
    before = {t.track: t for t in street.render(5.0)[1]}
    after = {t.track: t for t in street.render(5.1)[1]}
    both = before.keys() & after.keys()
    assert len(both) > 0.8 * len(before)
    assert all(before[k].label == after[k].label for k in both)
    moved = [abs(before[k].box[3] - after[k].box[3]) for k in both]
    assert max(moved) < 60


def test_tracks__are_unique() -> None:
    for seed in range(4):
        tracks = [t.track for t in Street(seed, 320, 180).render(33.0)[1]]
        assert len(tracks) == len(set(tracks))


def test_occlusion__shares_fall() -> None:
    shares = [t.visible for seed in range(4) for t in Street(seed, 640, 360, density=2.0).render(20.0)[1]]
    assert min(shares) < 0.5 < 0.9 < max(shares)


def test_light__night_is_darker_than_day() -> None:
    assert Street(2, 160, 90, hour=23).render(0)[0].mean() < 0.5 * Street(2, 160, 90, hour=13).render(0)[0].mean()


def test_weather_and_lens__change_the_picture() -> None:
    plain = Street(2, 320, 180).render(0)[0]
    for options in ({"rain": 0.8}, {"defocus": 3.0}, {"noise": 20.0}):
        assert np.abs(Street(2, 320, 180, **options).render(0)[0].astype(float) - plain).mean() > 2  # type: ignore[arg-type]


def test_write_coco__readable(tmp_path: Path) -> None:
    truth = json.loads(write_coco(tmp_path, 3, Street(1, 320, 180), fps=5.0).read_text())
    assert [image["file_name"] for image in truth["images"]] == ["000000.jpg", "000001.jpg", "000002.jpg"]
    assert all((tmp_path / "images" / image["file_name"]).is_file() for image in truth["images"])
    assert [c["name"] for c in truth["categories"]] == list(LABELS)
    ids = [a["id"] for a in truth["annotations"]]
    assert ids == list(range(1, len(ids) + 1)) and len(ids) > 10
