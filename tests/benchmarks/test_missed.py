"""What the benchmark calls a missed object."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.missed import by_criterion, misses
from benchmarks.replay import NO_PIXELS, Seen
from edge.runtime import Detections, Inference
from edge.sources import Frame
from protocols.messages import Assessment

Corners = tuple[float, float, float, float]
CAR, BESIDE = (10.0, 10.0, 50.0, 40.0), (60.0, 10.0, 100.0, 40.0)
BOTH = (10.0, 10.0, 90.0, 30.0)
"""The two in the truth: x, y, width, height."""


def seen(*boxes: Corners) -> Seen:
    count = len(boxes)
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    found = Detections(corners, np.ones(count, np.float32), np.zeros(count, np.int64))
    return Seen(0.0, Frame.now(NO_PIXELS, "camera", 0), Assessment(), Inference(found))


@pytest.mark.parametrize(
    ("boxes", "truth", "missed"),
    [
        ([], [], (False, False, False)),
        ([], [CAR], (True, True, True)),
        ([CAR], [], (False, False, False)),
        ([CAR], [(10, 10, 40, 30)], (False, False, False)),
        ([CAR, BESIDE], [BOTH], (True, False, False)),  # touching cars, one box in the truth, each of them detected
        ([CAR], [(10, 10, 120, 30)], (True, True, False)),  # of three touching cars, one
        ([(200.0, 10.0, 240.0, 40.0)], [(10, 10, 40, 30)], (True, True, True)),
        ([(0.0, 0.0, 200.0, 200.0)], [(10, 10, 40, 30)], (True, True, False)),  # a box around everything finds nothing
        ([CAR], [(10, 10, 40, 30), (100, 10, 40, 30)], (True, True, True)),
    ],
)
def test_misses__table(boxes: list[Corners], truth: list[Corners], missed: tuple[bool, ...]) -> None:
    assert misses(seen(*boxes), np.array(truth, np.float64).reshape(-1, 4)) == missed


def test_by_criterion__mean_and_deviation_over_packs() -> None:
    found = by_criterion([np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 5.0])])
    assert found["iou50"] == {"mean": 2.0, "std": 1.0} and found["unseen"]["mean"] == 4.0
