"""The losses: an unknown class contributes exactly nothing, weights scale, negatives without complete images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.data.dataset import Batch
from central.learn.detect.background import SURE, background, need
from central.learn.detect.loss import detection_loss, known, tag_loss
from central.learn.models.config import BINS
from central.learn.models.network import Raw, cells

SIDE = 64
CLASSES = 3
CENTRES, STRIDES = cells(SIDE, SIDE)


def batch_of(
    classes: list[int],
    complete: list[list[bool]],
    weights: list[float] | None = None,
    regions: torch.Tensor | None = None,
) -> Batch:
    """Return one image with a box of each of `classes`, 20 pixels wide, side by side."""
    boxes = [[4.0 + 22 * i, 10.0, 24.0 + 22 * i, 40.0] for i in range(len(classes))]
    whole = torch.tensor([[[0.0, 0.0, SIDE, SIDE]]]) if regions is None else regions
    return Batch(
        torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8), torch.tensor(boxes).reshape(1, -1, 4),
        torch.tensor([classes], dtype=torch.int64), torch.tensor([weights or [1.0] * len(classes)]), whole,
        torch.tensor([complete]),
    )  # fmt: skip


def raw_of(seed: int = 0) -> Raw:
    """Return random outputs that ask for gradients."""
    torch.manual_seed(seed)
    logits = torch.randn(1, len(STRIDES), CLASSES).requires_grad_()
    sides = torch.randn(1, len(STRIDES), 4, BINS).requires_grad_()
    return Raw(logits, sides, None, None, torch.randn(1, CLASSES).requires_grad_())


def slopes(raw: Raw, batch: Batch, guess: torch.Tensor | None = None) -> tuple[float, torch.Tensor]:
    """Return the class loss and its gradient ``[A, C]``."""
    losses, _ = detection_loss(raw, batch, CENTRES, STRIDES, guess)
    (slope,) = torch.autograd.grad(losses.classes, raw.logits)
    return float(losses.classes.detach()), slope[0]


def test_detection_loss__an_unknown_class_contributes_exactly_nothing() -> None:
    batch = batch_of([0], [[True, False, True]])
    loss, slope = slopes(raw_of(), batch)
    raw = raw_of()
    with torch.no_grad():
        raw.logits[0, :, 1] = 9.0
    louder, _ = slopes(raw, batch)
    assert bool((slope[:, 1] == 0).all())
    assert bool((slope[:, 0] != 0).all()) and bool((slope[:, 2] != 0).all())
    assert louder == loss


def test_detection_loss__a_labelled_box_of_an_unknown_class_counts() -> None:
    _, slope = slopes(raw_of(), batch_of([1], [[True, False, True]]))
    _, found = detection_loss(raw_of(), batch_of([1], [[True, False, True]]), CENTRES, STRIDES)
    positive = found.matched[0] >= 0
    assert bool(positive.any())
    assert torch.equal(slope[:, 1] != 0, positive)


def test_detection_loss__complete_for_nothing_and_no_box_is_silent() -> None:
    loss, slope = slopes(raw_of(), batch_of([-1], [[False] * CLASSES]))
    assert loss == 0.0
    assert not bool(slope.any())


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_detection_loss__a_machines_box_weighs_by_its_confidence(weight: float) -> None:
    # Two boxes, so that the sum that losses are divided by does not cancel the weight out.
    def part(second: float) -> tuple[float, float]:
        raw, batch = raw_of(), batch_of([0, 0], [[False] * CLASSES], [1.0, second])
        losses, found = detection_loss(raw, batch, CENTRES, STRIDES)
        scale = float((found.overlap * batch.weights.gather(1, found.matched.clamp_min(0))).sum().clamp_min(1.0))
        return float(losses.boxes.detach()) * scale, float(losses.classes.detach()) * scale

    nothing, full, given = part(0.0), part(1.0), part(weight)
    for low, high, value in zip(nothing, full, given, strict=True):
        assert value == pytest.approx(low + weight * (high - low), rel=1e-4)
        assert high > low


def test_known__where_regions_meet_all_must_be_complete() -> None:
    regions = torch.tensor([[[0.0, 0.0, 40.0, SIDE], [24.0, 0.0, SIDE, SIDE]]])
    mask = known(batch_of([-1], [[True, True, False], [True, False, True]], regions=regions), CENTRES)[0]
    left, right = CENTRES[:, 0] < 24, CENTRES[:, 0] >= 40
    both = ~left & ~right
    assert {tuple(row) for row in mask[left].tolist()} == {(True, True, False)}
    assert {tuple(row) for row in mask[right].tolist()} == {(True, False, True)}
    assert {tuple(row) for row in mask[both].tolist()} == {(True, False, False)}


def test_tag_loss__an_unknown_tag_contributes_nothing() -> None:
    tags = torch.zeros(1, CLASSES, requires_grad=True)
    (slope,) = torch.autograd.grad(tag_loss(tags, batch_of([0], [[False, False, True]])), tags)
    assert [bool(v) for v in slope[0]] == [True, False, True]


def test_tag_loss__what_people_said_of_a_scene_counts() -> None:
    said = torch.tensor([[0, 0, 0, 1, -1, 0]], dtype=torch.int8)
    given = batch_of([0], [[True, True, False]])._replace(tags=said)
    tags = torch.zeros(1, 6, requires_grad=True)
    (slope,) = torch.autograd.grad(tag_loss(tags, given, ([0, 1, 2], [0, 1, 2])), tags)
    assert slope[0].sign().tolist() == [-1, 1, 0, -1, 1, 0]


@pytest.mark.parametrize("said", [torch.zeros(1, 2, dtype=torch.int8), torch.ones(1, 5, dtype=torch.int8)])
def test_tag_loss__of_which_nothing_is_known_moves_nothing(said: torch.Tensor) -> None:
    tags = torch.zeros(1, 2, requires_grad=True)
    assert not tag_loss(tags, batch_of([0], [[True] * CLASSES])._replace(tags=said), ([], [])).requires_grad


def test_background__is_what_is_improbable_or_inside_a_labelled_box() -> None:
    logits = torch.full((1, len(STRIDES), CLASSES), 2.0)
    logits[:, ::2] = -4.0
    found = background(logits, batch_of([0], [[False] * CLASSES]), CENTRES)[0]
    inside = ((torch.tensor([4.0, 10.0]) < CENTRES) & (torch.tensor([24.0, 40.0]) > CENTRES)).all(-1)
    quiet = torch.zeros(len(STRIDES), dtype=torch.bool)
    quiet[::2] = True
    assert torch.equal(found.bool(), (inside | quiet).unsqueeze(-1).expand_as(found))
    assert 1 / (1 + np.exp(4.0)) < SURE < 1 / (1 + np.exp(-2.0))


def test_detection_loss__its_own_background_stands_in_for_negatives() -> None:
    raw, batch = raw_of(), batch_of([-1], [[False] * CLASSES])
    with torch.no_grad():
        raw.logits[:] = -3.0
        raw.logits[0, 5, 1] = 2.0
    _, slope = slopes(raw, batch, torch.tensor([0.5, 0.5, 0.0]))
    _, complete = slopes(raw, batch_of([-1], [[True] * CLASSES]))
    assert float(slope[5, 1]) == 0.0
    assert torch.allclose(slope[6:, :2], 0.5 * complete[6:, :2])
    assert bool((slope[:, 2] == 0).all())


def test_need__is_the_share_of_draws_without_a_complete_image() -> None:
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32)
    complete = np.array([True, False]), np.array([False, False])
    examples = [Example(Path("a"), *empty, one) for one in complete]
    assert need(examples, np.array([3.0, 1.0])).tolist() == [0.25, 1.0]


def test_load__scores_become_weights(tmp_path: Path) -> None:
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}
    truth = {
        "images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "car"}],
        "annotations": [box, {**box, "score": 0.4}, {**box, "score": 7.0}],
    }  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps(truth))
    assert load(tmp_path / "t.json", tmp_path, ("car",))[0].weights.tolist() == pytest.approx([1.0, 0.4, 1.0])
