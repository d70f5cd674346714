"""Looking twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from central.annotate.mirror import Eyes, merged, unmirrored
from edge.runtime import Detections


def found(*rows: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    boxes = np.array([r[0] for r in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([r[1] for r in rows], np.float32), np.array([r[2] for r in rows], np.int64))


CAR = ((0.0, 0.0, 10.0, 10.0), 0.8, 0)


def test_unmirrored__back_where_it_was() -> None:
    assert unmirrored(found(((0, 0, 10, 5), 0.5, 0)), 100).boxes.tolist() == [[90, 0, 100, 5]]


@pytest.mark.parametrize(
    ("one", "other", "scores"),
    [
        (found(CAR), found(CAR), [0.8]),
        (found(CAR), found(((1, 0, 11, 10), 0.4, 0)), [0.6]),
        (found(CAR), found(((0, 0, 10, 10), 0.4, 1)), [0.4, 0.2]),
        (found(CAR), found(((50, 0, 60, 10), 0.6, 0)), [0.4, 0.3]),
        (found(CAR), found(), [0.4]),
        (found(), found(CAR), [0.4]),
        (found(), found(), []),
        (found(CAR), found(CAR, CAR), [0.8, 0.4]),
    ],
)
def test_merged__scores_of_both_looks(one: Detections, other: Detections, scores: list[float]) -> None:
    both = merged(one, other)
    assert both.scores.tolist() == pytest.approx(scores)
    assert both.boxes.shape == (len(scores), 4)


def test_merged__box_between_both_nearer_the_surer_one() -> None:
    assert merged(found(CAR), found(((1.5, 0, 11.5, 10), 0.4, 0))).boxes[0, 0] == pytest.approx(0.5)


class Model:
    """Sees a bright spot."""

    def __init__(self) -> None:
        self.pack = SimpleNamespace(manifest=SimpleNamespace(tags=["night", "rain"]))

    def infer(self, image: Any) -> Any:
        y, x = np.argwhere(image[:, :, 0] > 0)[0]
        spot = found(((float(x), float(y), x + 10.0, y + 10.0), 0.9, 0))
        return SimpleNamespace(detections=spot, tags=np.array([0.2, float(x > 50)], np.float32))


def test_eyes__both_looks_agree_on_where() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    image[5:15, 20:30] = 255
    model: Any = Model()
    eyes = Eyes(model)
    seen = eyes.see(image)
    assert len(seen) == 1 and seen.scores[0] == pytest.approx(0.9)
    assert seen.boxes[0].tolist() == [20, 5, 30, 15]
    assert eyes.tags() == {"night": pytest.approx(0.2), "rain": 0.5}
