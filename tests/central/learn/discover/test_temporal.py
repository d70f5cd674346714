"""Targets of frames in a row: tracks mend what single frames got wrong."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from central.learn.discover import temporal
from central.learn.discover.targets import Targets
from central.learn.discover.temporal import Track, consistent, gaps, linked, moment, rows_of, smoothed
from edge.runtime.nms import overlaps

FRAMES, SURE = 60, 0.3
"""Score from which a target counts in the test."""


def world(seed: int = 0) -> tuple[list[Targets], list[np.ndarray]]:
    """A sequence of two objects that move, each missed now and then, with false finds elsewhere."""
    random = np.random.default_rng(seed)
    found, truth = [], []
    for frame in range(FRAMES):
        true = np.array([[2 * frame, 20, 2 * frame + 30, 50], [180 - frame, 90, 210 - frame, 120]], np.float32)
        seen = [(box + random.normal(0, 1.5, 4), random.uniform(0.4, 0.9)) for box in true if random.random() > 0.25]
        if random.random() < 0.5:
            x, y = random.uniform(0, 200), random.uniform(130, 200)
            seen.append((np.array([x, y, x + 25, y + 25]), random.uniform(0.5, 0.9)))
        boxes = np.array([box for box, _ in seen], np.float32).reshape(-1, 4)
        found.append(Targets(boxes, np.zeros(len(seen), np.int64), np.array([s for _, s in seen], np.float32)))
        truth.append(true)
    return found, truth


def precision_recall(found: list[Targets], truth: list[np.ndarray]) -> tuple[float, float]:
    hits = said = 0
    for own, true in zip(found, truth, strict=True):
        good = own.boxes[own.scores >= SURE]
        said += len(good)
        hits += int((overlaps(true, good).max(1) >= 0.5).sum()) if len(good) else 0
    return hits / max(1, said), hits / sum(map(len, truth))


def tracked(found: list[Targets], fixed: Callable[[int], Targets | None] = lambda place: None) -> list[Targets]:
    labels, sure = np.ones((len(found), 1), np.int8), np.ones((len(found), 1), np.float32)
    made = consistent([list(range(len(found)))], found.__getitem__, labels, sure, fixed)
    return [made.get(place, found[place]) for place in range(len(found))]


@pytest.mark.parametrize("seed", range(3))
def test_consistent__precision_and_recall_rise(seed: int) -> None:
    found, truth = world(seed)
    before, after = precision_recall(found, truth), precision_recall(tracked(found), truth)
    assert after[0] >= before[0] + 0.15
    assert after[1] >= before[1] + 0.05


def test_consistent__tracks_that_link_nothing_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporal, "_matched", lambda active, frame, boxes: {})
    found, truth = world()
    before, after = precision_recall(found, truth), precision_recall(tracked(found), truth)
    assert after[0] < before[0] + 0.15 or after[1] < before[1] + 0.05


def test_consistent__gaps_that_are_not_filled_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporal, "gaps", lambda track, scores: [])
    found, truth = world()
    assert precision_recall(tracked(found), truth)[1] < precision_recall(found, truth)[1] + 0.05


def test_consistent__what_a_person_drew_stays_and_counts() -> None:
    found, _ = world()
    drawn = Targets(np.array([[0, 0, 9, 9]], np.float32), np.zeros(1, np.int64), np.ones(1, np.float32))
    labels, sure = np.ones((FRAMES, 1), np.int8), np.ones((FRAMES, 1), np.float32)
    rows = [list(range(FRAMES))]
    made = consistent(rows, found.__getitem__, labels, sure, lambda place: drawn if place == 5 else None)
    assert 5 not in made and len(made) == FRAMES - 1


def test_consistent__a_class_that_is_known_to_be_absent_is_not_filled_in() -> None:
    one = Targets(np.array([[0, 0, 20, 20]], np.float32), np.zeros(1, np.int64), np.full(1, 0.8, np.float32))
    none = Targets(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    found = [one, one, none, one]
    for label, count in ((-1, 0), (0, 1), (1, 1)):
        labels = np.array([[1], [1], [label], [1]], np.int8)
        made = consistent([[0, 1, 2, 3]], found.__getitem__, labels, np.ones((4, 1), np.float32), lambda place: None)
        assert len(made[2].boxes) == count
    assert made[2].scores[0] == pytest.approx(0.4)


def test_smoothed__a_lone_find_is_lowered() -> None:
    box = np.zeros(4, np.float32)
    alone, along = Track([3], [box], [0.9]), Track([1, 2, 3], [box] * 3, [0.9, 0.3, 0.9])
    assert smoothed(alone) == pytest.approx([0.27])
    assert smoothed(along) == pytest.approx([0.7] * 3)
    assert gaps(alone, [0.27]) == []


def test_linked__by_motion_where_boxes_no_longer_overlap() -> None:
    boxes = [np.array([[9.0 * f, 0, 9.0 * f + 30, 20]], np.float32) for f in range(6)]
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    found = [empty if f in (3, 4) else (boxes[f], np.ones(1, np.float32)) for f in range(6)]
    assert [t.frames for t in linked(found)] == [[0, 1, 2, 5]]


def test_linked__ends_after_a_long_gap() -> None:
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    seen = (np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32))
    assert [t.frames for t in linked([seen, *[empty] * 4, seen])] == [[0], [5]]


def named(*seconds: float) -> list[Path]:
    return [Path(f"{uuid.UUID(int=(round(s * 1000) << 80) | (7 << 76) | (2 << 62))}.jpg") for s in seconds]


def test_moment__of_names() -> None:
    assert moment(Path("in000042.jpg")) == ("in", 42.0)
    assert moment(named(12.5)[0]) == ("uuid", 12.5)
    assert moment(Path("market.jpg")) is None


@pytest.mark.parametrize(
    ("paths", "cameras", "always", "rows"),
    [
        ([Path(f"in{n:04}.jpg") for n in (3, 1, 2, 4)], "aaaa", False, [[1, 2, 0, 3]]),
        ([Path(f"in{n:04}.jpg") for n in (1, 2, 3, 50, 51, 52)], "aaaaaa", False, [[0, 1, 2], [3, 4, 5]]),
        ([Path(f"in{n:04}.jpg") for n in range(6)], "aaabbb", False, [[0, 1, 2], [3, 4, 5]]),
        ([Path(f"in{n:04}.jpg") for n in range(3)], ["", "", ""], True, []),
        (named(0, 0.5, 1, 60, 61, 62), "aaaaaa", False, [[0, 1, 2], [3, 4, 5]]),
        (named(0, 60, 120), "aaa", False, []),
        (named(0, 60, 120), "aaa", True, [[0, 1, 2]]),
        ([Path("x.jpg"), Path("y.jpg"), Path("z.jpg")], "aaa", False, []),
    ],
    ids=["numbers", "a leap", "two cameras", "no camera", "times", "far apart", "asked for", "no numbers"],
)
def test_rows_of__frames_in_a_row(paths: list[Path], cameras: list[str], always: bool, rows: list[list[int]]) -> None:
    assert rows_of(paths, list(cameras), always) == rows
