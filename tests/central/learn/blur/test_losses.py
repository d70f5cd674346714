"""Every loss of an order: right costs little, wrong costs more, and the blurrier one is pushed up."""

from __future__ import annotations

import math

import pytest
import torch

from central.learn.blur import losses, semi
from central.learn.blur.losses import hinge
from protocols.slots import SlotError

NAMES = ("fidelity", "hinge", "ranknet")


def of(name: str, first: float, second: float, order: int) -> float:
    one, other, sign = (torch.tensor([float(v)]) for v in (first, second, order))
    return float(losses.find(name)(one, other, sign))


def test_losses__are_all_there() -> None:
    assert tuple(losses.losses()) == NAMES
    with pytest.raises(SlotError, match="hinge"):
        losses.find("guess")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [1, -1])
def test_losses__a_wrong_order_costs_more(name: str, order: int) -> None:
    right, even, wrong = (of(name, -gap, gap, order) for gap in (order * 2.0, 0.0, -order * 2.0))
    assert right < even < wrong and right >= -1e-6


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [1, 0, -1])
def test_losses__turning_the_pair_round_changes_nothing(name: str, order: int) -> None:
    assert of(name, 0.3, -0.9, order) == pytest.approx(of(name, -0.9, 0.3, -order), abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_losses__the_blurrier_one_is_pushed_up(name: str) -> None:
    scores = torch.zeros(2, requires_grad=True)
    losses.find(name)(scores[:1], scores[1:], torch.ones(1)).sum().backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None and scores.grad[0] > 0 > scores.grad[1]


@pytest.mark.parametrize("name", NAMES)
def test_losses__who_cannot_tell_wants_them_alike(name: str) -> None:
    assert of(name, 0.0, 0.0, 0) == pytest.approx(of(name, 0.0, 0.0, 0))
    assert of(name, -2.0, 2.0, 0) > of(name, 0.0, 0.0, 0) + 0.1
    assert of(name, -2.0, 2.0, 0) == pytest.approx(of(name, 2.0, -2.0, 0), abs=1e-6)


@pytest.mark.parametrize(
    ("gap", "zero"), [(hinge.MARGIN + 0.001, True), (hinge.MARGIN - 0.001, False), (-0.2, False)]
)  # fmt: skip
def test_hinge__is_nothing_exactly_where_the_margin_is_kept(gap: float, zero: bool) -> None:
    second = math.log((0.5 + gap) / (0.5 - gap))
    assert (of("hinge", 0.0, second, 1) == 0.0) == zero


def test_consistency__wants_the_teachers_order_of_the_blurred_ones() -> None:
    loss, teacher = losses.find("hinge"), torch.tensor([-2.0, 0.0, 2.0])
    assert float(semi.consistency(loss, teacher, torch.tensor([-1.0, 0.0, 1.0]))) == 0.0
    assert float(semi.consistency(loss, teacher, torch.tensor([1.0, 0.0, -1.0]))) > 0.3


def test_consistency__what_the_teacher_hardly_tells_apart_does_not_count() -> None:
    degraded = torch.tensor([3.0, -3.0], requires_grad=True)
    value = semi.consistency(losses.find("hinge"), torch.tensor([0.0, 0.01]), degraded)
    assert float(value.detach()) == 0.0
    value.backward()  # type: ignore[no-untyped-call]


def test_consistency__does_not_teach_the_teacher() -> None:
    teacher, degraded = torch.tensor([-1.0, 1.0], requires_grad=True), torch.tensor([1.0, -1.0], requires_grad=True)
    semi.consistency(losses.find("ranknet"), teacher, degraded).backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None and degraded.grad is not None


@pytest.mark.parametrize(("step", "weight"), [(0, 0.0), (20, 0.0), (35, 0.5), (50, 1.0), (99, 1.0)])
def test_ramp__begins_once_there_is_an_order(step: int, weight: float) -> None:
    assert semi.ramp(step, 100) == pytest.approx(weight)
