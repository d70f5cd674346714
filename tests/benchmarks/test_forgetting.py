"""How the benchmark of forgetting cuts its data, and what its figures are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.forgetting import LABELS, _by_age, _spread, groups, held_back, only, shrunk, taken
from central.learn.data import Example

PERSON, CAR, BUS = LABELS.index("person"), LABELS.index("car"), LABELS.index("bus")


def example(*classes: int, camera: str = "a", path: Path = Path("x.png")) -> Example:
    count = len(classes)
    boxes = np.tile(np.array([10.0, 20.0, 110.0, 60.0], np.float32), (count, 1))
    return Example(
        path, boxes, np.array(classes, np.int64), np.ones(count, np.float32), np.ones(len(LABELS), bool), camera
    )


def test_groups__cameras_stay_whole() -> None:
    made = groups([example(camera=name) for name in "aaaaabbbccd"], 2)
    assert [sorted({e.camera for e in own}) for own in made] == [["a", "d"], ["b", "c"]]


def test_held_back__the_last_of_each_camera() -> None:
    frames = [example(camera=name, path=Path(str(place))) for place, name in enumerate("aaaaaaaab")]
    first, last = held_back(frames)
    assert [e.path.name for e in first] == list("012345")
    assert [e.path.name for e in last] == list("678")


def test_only__other_classes_are_open_not_absent() -> None:
    found = only([example(PERSON, CAR), example(BUS)], ["car"])
    assert [e.classes.tolist() for e in found] == [[CAR]]
    assert found[0].complete.tolist() == [label == "car" for label in LABELS]


def test_taken__classes_by_their_new_places() -> None:
    found = taken([example(PERSON, CAR, BUS)], ("bus", "person"))[0]
    assert found.classes.tolist() == [1, 0]
    assert len(found.complete) == 2


def test_shrunk__boxes_go_with_the_image(tmp_path: Path) -> None:
    large, small = tmp_path / "large.png", tmp_path / "small.png"
    cv2.imwrite(str(large), np.zeros((300, 600, 3), np.uint8))
    cv2.imwrite(str(small), np.zeros((60, 60, 3), np.uint8))
    given = [example(CAR, path=large), example(CAR, path=small)]
    found = shrunk(given, 100, 200, tmp_path / "copies")
    copy = cv2.imread(str(found[0].path))
    assert copy is not None
    assert copy.shape[:2] == (150, 300)
    assert found[0].boxes.tolist() == [[5.0, 10.0, 55.0, 30.0]]
    assert found[1] is given[1]


def test_by_age__means_over_old_and_new() -> None:
    parts = {"car": 0.3, "person": 0.1, "bus": 0.4}
    found = _by_age(0.25, parts, 0.5, 0.6, ("car", "person"), ("bus", "truck"))
    assert found["share_of_joint"] == pytest.approx(0.5)
    assert (found["ap50_old"], found["ap50_new"]) == pytest.approx((0.2, 0.2))
    assert found["forgetting"] == pytest.approx(0.4)


def test_spread__over_seeds() -> None:
    found = _spread([{"replay": {"share_of_joint": share}} for share in (0.8, 1.0)])["replay"]
    assert (found["mean"], found["std"], found["seeds"]) == pytest.approx((0.9, 0.1, 2))
