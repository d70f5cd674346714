"""AP, precision, recall and F1 against figures made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from central.learn.tags import metrics


@pytest.mark.parametrize(
    ("scores", "present", "expected"),
    [
        ([0.9, 0.8, 0.1], [1, 1, 0], 1.0),
        ([0.9, 0.8, 0.1], [0, 0, 1], 1 / 3),
        ([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], (1 + 2 / 3) / 2),
        # The envelope lifts the precision of the first hit (1/2) to that of the second (2/3).
        ([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 0], 2 / 3),
    ],
)
def test_average_precision(scores: list[float], present: list[int], expected: float) -> None:
    assert metrics.average_precision(np.array(scores), np.array(present, bool)) == pytest.approx(expected)


def test_average_precision__nothing_present() -> None:
    assert math.isnan(metrics.average_precision(np.ones(3), np.zeros(3, bool)))


def test_report__counts_known_cells_alone() -> None:
    scores = np.array([[1, 2], [-1, 3], [2, -1], [9, 9]], np.float32)
    labels = np.array([[1, 1], [1, -1], [-1, 1], [0, 0]], np.int8)
    found = metrics.report(scores, labels, ("a", "b"))
    assert found.tags["a"] == {"ap": pytest.approx(2 / 3), "precision": 0.5, "recall": 0.5, "present": 2, "absent": 1}
    assert (found.prf.op, found.prf.or_) == (0.5, 0.5)
    assert found.prf.of1 == pytest.approx(0.5)
    assert found.map == pytest.approx((2 / 3 + found.tags["b"]["ap"]) / 2)


def test_report__tags_that_nobody_knows_do_not_count() -> None:
    scores = np.array([[1, 2], [-1, 3]], np.float32)
    found = metrics.report(scores, np.array([[1, 0], [-1, 0]], np.int8), ("a", "b"))
    assert found.map == 1.0 and found.tags["b"]["ap"] is None


def test_top__takes_the_best_of_each_image() -> None:
    scores = np.array([[3, 1, 2, 0]], np.float32)
    assert metrics.top(scores, 2).tolist() == [[True, False, True, False]]
    assert metrics.top(scores[:, :2], 3).tolist() == [[True, True]]
