"""Several looks at one image."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from central.annotate.eyes import Eyes, native
from central.annotate.fusion import Look, fuse, placed, windows
from edge.runtime import Detections

WHOLE = (0, 0, 100, 100)
LEFT = (0, 0, 50, 100)


def found(*rows: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    boxes = np.array([r[0] for r in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([r[1] for r in rows], np.float32), np.array([r[2] for r in rows], np.int64))


CAR = ((10.0, 10.0, 20.0, 20.0), 0.8, 0)


@pytest.mark.parametrize(
    ("one", "other", "scores"),
    [
        (found(CAR), found(CAR), [0.8]),
        (found(CAR), found(((11, 10, 21, 20), 0.4, 0)), [0.6]),
        (found(CAR), found(((10, 10, 20, 20), 0.4, 1)), [0.4, 0.2]),
        (found(CAR), found(((50, 0, 60, 10), 0.6, 0)), [0.4, 0.3]),
        (found(CAR), found(), [0.4]),
        (found(), found(), []),
    ],
)
def test_fuse__scores_are_means_times_the_share_that_saw_it(one: Any, other: Any, scores: list[float]) -> None:
    both = fuse([Look(WHOLE, one), Look(WHOLE, other)])
    assert both.scores.tolist() == pytest.approx(scores)
    assert both.boxes.shape == (len(scores), 4)


def test_fuse__box_between_both_nearer_the_surer_one() -> None:
    both = fuse([Look(WHOLE, found(CAR)), Look(WHOLE, found(((11.5, 10, 21.5, 20), 0.4, 0)))])
    assert both.boxes[0].tolist() == pytest.approx([10.5, 10, 20.5, 20])


def test_fuse__only_parts_that_hold_the_object_count() -> None:
    right = ((70.0, 10.0, 80.0, 20.0), 0.8, 0)
    both = fuse([Look(WHOLE, found(CAR, right)), Look(LEFT, found(CAR))])
    assert both.scores.tolist() == pytest.approx([0.8, 0.8])


def test_fuse__nothing() -> None:
    assert len(fuse([])) == 0


def test_placed__mirrored_and_moved() -> None:
    look = placed(found(((0, 10, 10, 20), 0.5, 0)), (50, 0, 50, 100), 100, 100, mirrored=True)
    assert look.found.boxes.tolist() == [[90, 10, 100, 20]]


def test_placed__what_a_part_cuts_off_is_left_out() -> None:
    cut = found(((40, 10, 50, 20), 0.5, 0))
    assert len(placed(cut, LEFT, 100, 100).found) == 0
    assert len(placed(cut, (50, 0, 50, 100), 100, 100).found) == 1


@pytest.mark.parametrize("zoom", [1.0, 1.9, 3.0])
def test_windows__cover_the_image(zoom: float) -> None:
    seen = np.zeros((54, 96), bool)
    for x, y, w, h in windows(96, 54, zoom):
        assert x >= 0 and y >= 0 and x + w <= 96 and y + h <= 54
        seen[y : y + h, x : x + w] = True
    assert seen.all()


@pytest.mark.parametrize(("width", "zoom"), [(512, None), (600, None), (960, 1.875), (1920, 3.0)])
def test_native__as_large_as_the_camera_gave_it(width: int, zoom: float | None) -> None:
    assert native(width, round(width * 9 / 16), 512, 288) == zoom


class Model:
    """Sees a bright spot, and counts how often it looks."""

    def __init__(self, width: int, height: int) -> None:
        shape = SimpleNamespace(width=width, height=height)
        manifest = SimpleNamespace(tags=["night", "rain"], input=shape, score_threshold=0.35)
        self.pack = SimpleNamespace(manifest=manifest)
        self.looks = 0

    def infer(self, image: Any, threshold: float) -> Any:
        self.looks += 1
        rows = np.argwhere(image[:, :, 0] > 0)
        spots = []
        if len(rows):
            (y1, x1), (y2, x2) = rows.min(0), rows.max(0) + 1
            spots = [((float(x1), float(y1), float(x2), float(y2)), 0.9, 0)]
        return SimpleNamespace(detections=found(*spots), tags=np.array([0.2, float(self.looks == 1)], np.float32))


@pytest.mark.parametrize(("size", "looks"), [((100, 40), 2), ((50, 20), 20)])
def test_eyes__all_looks_agree_on_where(size: tuple[int, int], looks: int) -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    image[4:9, 22:32] = 255
    model: Any = Model(*size)
    eyes = Eyes(model)
    seen = eyes.see(image)
    assert len(seen) == 1 and seen.scores[0] == pytest.approx(0.9)
    assert seen.boxes[0].tolist() == [22, 4, 32, 9]
    assert model.looks == looks
    assert eyes.tags() == {"night": pytest.approx(0.2), "rain": 0.5}
