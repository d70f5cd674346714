"""Clicks and other single answers as lessons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from central.learn.detect.coco import DatasetError
from central.learn.discover import hints as answers
from central.learn.discover.evaluate import Truth, best_boxes, corloc
from central.learn.discover.features import Bags
from central.learn.discover.fit import Fit, FitConfig, Judged, Lessons, certain, judge
from central.learn.discover.heed import heeded, hinted
from central.learn.discover.hints import NONE, Gathered, Hints, fits, told

WHOLE, PART, AWAY = [0.0, 0.0, 40.0, 40.0], [0.0, 0.0, 16.0, 16.0], [60.0, 60.0, 90.0, 90.0]
BOXES = np.array([WHOLE, PART, AWAY], np.float32)
CLICK = Hints(clicks=((0, (20.0, 20.0)),))


def said(*scores: float) -> Judged:
    table = np.array([[s, 0.1] for s in scores], np.float32)
    return Judged(BOXES, table, table.max(0), table, BOXES)


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        (NONE, [1, 1, 1]),
        (CLICK, [1, 0, 0]),
        (Hints(clicks=((0, (8.0, 8.0)),)), [0.25, 1, 0]),
        (Hints(clicks=((0, (50.0, 50.0)),)), [0, 0, 0]),
        (Hints(right=((0, (62.0, 60.0, 90.0, 90.0)),)), [0, 0, 1]),
        (Hints(wrong=((0, (0.0, 0.0, 16.0, 15.0)),)), [1, 0, 1]),
        (Hints(clicks=((0, (20.0, 20.0)), (0, (75.0, 75.0)))), [1, 0, 1]),
    ],
    ids=["nothing", "middle of the whole", "middle of the part", "no box there", "yes", "no", "two objects"],
)
def test_fits__what_can_be_the_object(hints: Hints, expected: list[float]) -> None:
    found = fits(BOXES, hints, 2)
    assert found[:, 0].tolist() == pytest.approx(expected, abs=0.15)
    assert (found[:, 1] == 1).all()


def test_heeded__a_click_takes_the_whole_for_the_part() -> None:
    before, after = said(0.3, 0.6, 0.4), heeded(said(0.3, 0.6, 0.4), CLICK)
    assert before.scores[:, 0].argmax() == 1 and after.scores[:, 0].argmax() == 0
    assert heeded(before, NONE) is before


def test_hinted__a_confirmed_box_is_a_target_that_counts_wholly() -> None:
    box = (61.0, 59.0, 92.0, 88.0)
    found = hinted(said(0.3, 0.2, 0.1), np.array([1, -1], np.int8), np.ones(2, np.float32), Hints(right=((0, box),)))
    assert found.boxes[0].tolist() == list(box) and found.scores[0] == 1
    clicked = hinted(said(0.3, 0.6, 0.4), np.array([1, -1], np.int8), np.ones(2, np.float32), CLICK)
    assert clicked.boxes[0].tolist() == WHOLE and clicked.scores[0] > 0.6


def test_told__what_was_clicked_is_there() -> None:
    labels = np.array([[0, -1], [0, 0]], np.int8)
    assert told(labels, {0: CLICK}).tolist() == [[1, -1], [0, 0]]
    assert labels.tolist() == [[0, -1], [0, 0]]


def world(count: int) -> tuple[Bags, np.ndarray, list[Truth]]:
    """Images of one object each, whose part looks more like the class than the whole does."""
    random = np.random.default_rng(0)
    boxes, features, labels, truth = [], [], [], []
    for image in range(count):
        label = image % 2
        x, y = random.uniform(0, 50, 2)
        whole = np.array([x, y, x + 40, y + 40])
        low = random.uniform(0, 70, (8, 2))
        own = np.concatenate([[whole, [x + 2, y + 2, x + 18, y + 18]], np.concatenate([low, low + 20], 1)])
        seen = random.normal(0, 0.4, (10, 12))
        seen[0, label], seen[0, 4] = 3, 3
        seen[1, label], seen[1, 5] = 4.5, 3
        boxes.append(own)
        features.append(seen)
        labels.append([1 if c == label else -1 for c in range(2)])
        truth.append(Truth(whole[None].astype(np.float32), np.array([label])))
    flat = np.concatenate(boxes).astype(np.float32)
    bags = Bags(
        np.arange(count + 1) * 10, flat, np.ones(len(flat), np.float32), np.concatenate(features).astype(np.float16),
        np.zeros((len(flat), 2, 0), np.float16), np.zeros(12, np.float32), np.eye(12, dtype=np.float32),
        np.zeros(0, np.int64),
    )  # fmt: skip
    return bags, np.array(labels, np.int8), truth


def located(bags: Bags, labels: np.ndarray, truth: list[Truth], hints: dict[int, Hints]) -> float:
    """Return the CorLoc of the images without a hint."""
    heads = Fit(FitConfig(epochs=12, rate=5e-3, hidden=32), bags, Lessons(labels, certain(labels), {}, hints)).run()
    rest = [i for i in range(len(bags)) if i % 4]
    judged = [judge(heads, bags[i]) for i in rest]
    return corloc([best_boxes(j.boxes, j.scores) for j in judged], [truth[i] for i in rest])


def clicks(truth: list[Truth], by: float = 0.0) -> dict[int, Hints]:
    """Return a click on the middle of the object of every fourth image, off `by` pixels."""
    found = {}
    for place in range(0, len(truth), 4):
        x1, y1, x2, y2 = truth[place].boxes[0].tolist()
        at = ((x1 + x2) / 2 + by, (y1 + y2) / 2 + by)
        found[place] = Hints(clicks=((int(truth[place].classes[0]), at),))
    return found


def test_fit__clicks_on_some_images_raise_corloc_on_the_others() -> None:
    bags, labels, truth = world(64)
    without, with_clicks = located(bags, labels, truth, {}), located(bags, labels, truth, clicks(truth))
    assert without <= 0.3
    assert with_clicks >= without + 0.3


def test_fit__clicks_that_are_ignored_raise_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bags, labels, truth = world(64)
    monkeypatch.setattr(answers, "fits", lambda boxes, hints, classes: np.ones((len(boxes), classes), np.float32))
    assert located(bags, labels, truth, clicks(truth)) <= 0.3


def test_load__clicks_of_known_images_and_classes(tmp_path: Path) -> None:
    file = tmp_path / "clicks.json"
    file.write_text(json.dumps({"a.jpg": [["car", 3, 4], ["ship", 1, 1]], "gone.jpg": [["car", 1, 1]]}))
    found = answers.load([f"{file}:{tmp_path}"], ("bus", "car"), [tmp_path / "b.jpg", tmp_path / "a.jpg"])
    assert found == {1: Hints(clicks=((1, (3.0, 4.0)),))}
    gathered = Gathered()
    gathered.add(1, "clicks", (1, (3.0, 4.0)))
    assert gathered.found == found


@pytest.mark.parametrize("text", ["[]", "{", '{"a": [["car", "x", 1]]}', '{"a": 3}'])
def test_load__wrong(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(DatasetError, match="no clicks"):
        answers.load([f"{tmp_path / 'c.json'}:{tmp_path}"], ("car",), [])
    with pytest.raises(DatasetError, match=r"CLICKS\.json:IMAGES"):
        answers.load(["c.json"], ("car",), [])
