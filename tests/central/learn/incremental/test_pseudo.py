"""Labels of the teacher where nobody labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from central.learn.data import Example
from central.learn.incremental.pseudo import HALF_SEEN, SURE, label, thresholds
from central.learn.models import ModelConfig

LABELS = ("bus", "car")


class Teacher(torch.nn.Module):
    """Sees the same two cars in every frame: one surely, one by half."""

    nms_iou = 0.5

    def __init__(self, scores: tuple[float, float] = (0.8, 0.2)) -> None:
        super().__init__()
        self.config = ModelConfig(size="tiny", labels=("car",), height=96, width=96)
        self.own = torch.nn.Parameter(torch.zeros(1))
        self.scores = scores

    def forward(self, image: Any) -> dict[str, Any]:
        """Return both."""
        boxes = torch.tensor([[8.0, 8, 40, 40], [50, 50, 90, 90]])
        return {"boxes": boxes, "scores": torch.tensor(self.scores).unsqueeze(1)}


def example(folder: Path, complete: tuple[bool, bool], *boxes: tuple[float, float, float, float]) -> Example:
    """Return a grey picture of the teacher's size, with buses at `boxes`."""
    path = folder / "grey.png"
    cv2.imwrite(str(path), np.full((96, 96, 3), 90, np.uint8))
    count = len(boxes)
    return Example(
        path, np.array(boxes, np.float32).reshape(-1, 4), np.zeros(count, np.int64), np.ones(count, np.float32),
        np.array(complete),
    )  # fmt: skip


def test_label__sure_ones_count_by_their_score_half_seen_ones_not_at_all(tmp_path: Path) -> None:
    (filled,), sure = label(Teacher(), [example(tmp_path, (True, False))], LABELS, {"car": SURE})
    assert sure == 1
    assert filled.weights == pytest.approx([0.8, 0.0])
    assert filled.classes.tolist() == [1, 1]
    assert filled.complete.all()
    assert filled.boxes[0] == pytest.approx([8, 8, 40, 40])


def test_label__below_half_seen_is_background(tmp_path: Path) -> None:
    (filled,), _ = label(Teacher((0.8, HALF_SEEN / 2)), [example(tmp_path, (True, False))], LABELS, {"car": SURE})
    assert len(filled.boxes) == 1


def test_label__a_persons_box_goes_before(tmp_path: Path) -> None:
    (filled,), sure = label(Teacher(), [example(tmp_path, (True, False), (9, 9, 41, 41))], LABELS, {"car": SURE})
    assert sure == 0
    assert filled.classes.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("scores", "bus", "kept"),
    [
        ((0.2, 0.0), (0, 0, 90, 90), 0),  # half seen in a bus: the bus
        ((0.2, 0.0), (0, 0, 90, 20), 1),  # mostly beside it
        ((0.8, 0.0), (0, 0, 90, 90), 1),  # sure: a car before a bus
    ],
)
def test_label__what_is_half_seen_in_a_persons_box_is_that(
    scores: tuple[float, float], bus: tuple[float, float, float, float], kept: int, tmp_path: Path
) -> None:
    (filled,), _ = label(Teacher(scores), [example(tmp_path, (True, False), bus)], LABELS, {"car": SURE})
    assert filled.classes.tolist() == [0] + [1] * kept


def test_label__what_is_complete_stays(tmp_path: Path) -> None:
    given = example(tmp_path, (True, True))
    assert label(Teacher(), [given], LABELS, {"car": SURE}) == ([given], 0)


def test_thresholds__as_low_as_precision_allows(tmp_path: Path) -> None:
    right = example(tmp_path, (True, True))
    right = Example(
        right.path, np.array([[8, 8, 40, 40]], np.float32), np.array([1]), np.ones(1, np.float32), right.complete
    )
    both = thresholds(Teacher((0.8, 0.6)), [right] * 10, LABELS)
    assert both["car"] == pytest.approx(0.6, abs=0.03)  # the one at 0.6 is no car
    assert thresholds(Teacher(), [], LABELS) == {"car": SURE}
