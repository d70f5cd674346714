"""Suppression against the slow definition of it."""

from __future__ import annotations

import numpy as np
import pytest

from edge.runtime import Detections, nms


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


def slow(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, limit: float) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if all(classes[index] != classes[k] or iou(boxes[index], boxes[k]) <= limit for k in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [0.1, 0.45, 0.6, 1.0])
def test_suppress__like_slow(seed: int, limit: float) -> None:
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corner, corner + random.uniform(1, 40, (80, 2))], axis=1).astype(np.float32)
    scores = random.choice(np.linspace(0.1, 1, 30), 80).astype(np.float32)
    classes = random.integers(0, 3, 80)
    assert nms.suppress(boxes, scores, classes, limit).tolist() == slow(boxes, scores, classes, limit)


def test_suppress__classes_do_not_compete() -> None:
    boxes = np.array([[0, 0, 10, 10]] * 2, np.float32)
    keep = nms.suppress(boxes, np.array([0.5, 0.9], np.float32), np.array([0, 1]), 0.5)
    assert keep.tolist() == [1, 0]


def test_suppress__nothing_in_nothing_out() -> None:
    keep = nms.suppress(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5)
    assert keep.shape == (0,)


def test_suppress__stops_at_the_limit() -> None:
    boxes = np.array([[i * 10, 0, i * 10 + 5, 5] for i in range(20)], np.float32)
    keep = nms.suppress(boxes, np.linspace(1, 0.1, 20).astype(np.float32), np.zeros(20, np.int64), 0.5, limit=4)
    assert keep.tolist() == [0, 1, 2, 3]


def test_suppress__degenerate_boxes_overlap_nothing() -> None:
    boxes = np.array([[5, 5, 5, 5], [9, 9, 3, 3]], np.float32)
    assert len(nms.suppress(boxes, np.ones(2, np.float32), np.zeros(2, np.int64), 0.1)) == 2


def test_nms__keeps_spread_with_its_box() -> None:
    boxes = np.array([[0, 0, 9, 10], [0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    spread = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = Detections(boxes, np.array([0.3, 0.9, 0.5], np.float32), np.zeros(3, np.int64), spread)
    kept, index = nms.nms(found, 0.5)
    assert index.tolist() == [1, 2]
    assert kept.spread is not None
    np.testing.assert_array_equal(kept.spread, spread[[1, 2]])
