"""The laws of multiple-instance heads: METHODS of weak supervision hold for any boxes and tags."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from central.learn.discover import heads as parts
from central.learn.discover.heads import Heads
from central.learn.discover.seeds import find, ways
from edge.runtime.nms import overlaps

ANY = settings(max_examples=25, deadline=None)
COUNTS, CLASSES = st.integers(1, 12), st.integers(1, 4)


def random_boxes(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 60, (count, 2))
    return np.concatenate([low, low + random.uniform(4, 40, (count, 2))], 1).astype(np.float32)


def said(count: int, classes: int, seed: int) -> parts.Said:
    torch.manual_seed(seed)
    heads = Heads(8, classes, hidden=16).eval()
    features = torch.randn(count, 8) * 5
    found: list[parts.Said] = heads(features, torch.zeros(count, 2, 0), torch.rand(count), [count])
    return found[0]


@ANY
@given(COUNTS, CLASSES, st.integers(0, 1000))
def test_streams__sum_to_one_and_image_scores_are_at_most_one(count: int, classes: int, seed: int) -> None:
    found = said(count, classes, seed)
    assert torch.allclose(found.classes.sum(1), torch.ones(count), atol=1e-5)
    assert torch.allclose(found.places.sum(0), torch.ones(classes), atol=1e-5)
    assert bool((found.image <= 1).all()) and bool((found.image >= 0).all())


@ANY
@given(COUNTS, st.integers(2, 4), st.integers(0, 1000), st.sampled_from(sorted(ways())))
def test_targets__absent_and_unknown_classes_have_no_weight(count: int, classes: int, seed: int, way: str) -> None:
    random = np.random.default_rng(seed)
    labels = random.choice(np.array([1, -1, 0], np.int8), classes)
    labels[0] = 1
    boxes = random_boxes(count, seed)
    scores = random.random((count, classes)).astype(np.float32)
    found = parts.targets(scores, boxes, overlaps(boxes, boxes), labels, find(way))
    for label in np.flatnonzero(labels <= 0):
        assert found.weights[found.labels == label].sum() == 0
    assert found.front.any()
    assert (found.weights >= 0).all() and (found.weights <= 1).all()


def test_targets__all_absent_makes_everything_background() -> None:
    boxes = random_boxes(5, 0)
    found = parts.targets(
        np.ones((5, 2), np.float32), boxes, overlaps(boxes, boxes), np.array([-1, -1], np.int8), find("best")
    )
    assert found.labels.tolist() == [2] * 5
    assert found.weights.tolist() == [1.0] * 5


def test_targets__by_overlap_with_the_best_box() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 3], [50, 50, 60, 60]], np.float32)
    scores = np.array([[0.8], [0.3], [0.2], [0.1]], np.float32)
    found = parts.targets(scores, boxes, overlaps(boxes, boxes), np.array([1], np.int8), find("best"))
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.weights.tolist() == pytest.approx([0.8, 0.8, 0.8, 0.0])
    assert found.boxes[1].tolist() == boxes[0].tolist()


@ANY
@given(CLASSES, st.integers(0, 1000))
def test_image_loss__of_one_box_is_cross_entropy(classes: int, seed: int) -> None:
    found = said(1, classes, seed)
    labels = torch.from_numpy(np.random.default_rng(seed).choice([1.0, -1.0], classes))
    expected = F.binary_cross_entropy(found.classes[0].clamp(1e-6, 1 - 1e-6), (labels > 0).float(), reduction="sum")
    assert parts.image_loss(found.image, labels).item() == pytest.approx(expected.item(), rel=1e-4)


def test_image_loss__unknown_tags_have_no_gradient() -> None:
    score = torch.tensor([0.3, 0.6, 0.2], requires_grad=True)
    parts.image_loss(score, torch.tensor([1.0, 0.0, -1.0])).backward()  # type: ignore[no-untyped-call]
    assert score.grad is not None
    assert score.grad[1] == 0
    assert score.grad[0] < 0 < score.grad[2]


def test_image_loss__counts_by_how_sure_a_tag_is() -> None:
    score, labels = torch.tensor([0.3]), torch.tensor([1.0])
    whole = parts.image_loss(score, labels)
    assert parts.image_loss(score, labels, torch.tensor([0.25])).item() == pytest.approx(0.25 * whole.item())


@ANY
@given(COUNTS, st.integers(0, 1000))
def test_moved__undoes_offsets_within_reach(count: int, seed: int) -> None:
    boxes = random_boxes(count, seed)
    wanted = boxes + np.random.default_rng(seed).uniform(-1.5, 1.5, boxes.shape).astype(np.float32)
    assert np.allclose(parts.moved(boxes, parts.offsets(boxes, wanted)), wanted, atol=1e-3)


def test_moved__stays_a_box() -> None:
    found = parts.moved(np.array([[0, 0, 10, 10]], np.float32), np.array([[9, 9, -9, -9]], np.float32))
    assert (found[:, 2:] > found[:, :2]).all()


def test_of_boxes__what_no_true_box_covers_is_background() -> None:
    boxes = np.array([[0, 0, 10, 10], [40, 40, 50, 50]], np.float32)
    true = np.array([[0, 0, 10, 9]], np.float32)
    found = parts.of_boxes(boxes, true, np.array([1]), np.array([0.5], np.float32), 3)
    assert found.labels.tolist() == [1, 3]
    assert found.weights.tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("way", "expected"), [("best", [0]), ("several", [0, 2]), ("clusters", [0, 2])]
)
def test_seeds__of_two_objects(way: str, expected: list[int]) -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [50, 50, 60, 59], *([[80, 80, 84, 84]] * 16)],
                     np.float32)  # fmt: skip
    scores = np.array([0.9, 0.8, 0.7, 0.6, *([0.01] * 16)], np.float32)
    found = find(way).choose(scores, overlaps(boxes, boxes))
    assert sorted(int(i) // 2 * 2 for i in found) == expected
