"""A threshold learns from the data from its first step on, and stays where it makes sense."""

from __future__ import annotations

import math

import pytest
import torch

from central.learn.tags.threshold import RATE, SHARPNESS, START, Threshold


def gradient(quantity: float, label: float) -> float:
    threshold = Threshold()
    threshold.loss(torch.tensor([[quantity]]), torch.tensor([[label]])).backward()
    assert threshold.value.grad is not None
    return float(threshold.value.grad)


@pytest.mark.parametrize("quantity", [START - 2 * SHARPNESS, START, START + SHARPNESS])
def test_threshold__a_known_positive_within_reach_pulls_it_down(quantity: float) -> None:
    assert gradient(quantity, 1.0) > 0.1


def test_threshold__a_known_negative_above_pushes_it_up() -> None:
    assert gradient(0.99, -1.0) < -0.1


def test_threshold__unknown_cells_do_not_move_it() -> None:
    assert gradient(0.99, 0.0) == 0


def test_threshold__follows_the_data_and_not_the_number_of_steps() -> None:
    quantity, labels = torch.tensor([[0.9, 0.85, 0.6, 0.55]]), torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    found = []
    for steps in (700, 1400):
        threshold = Threshold()
        optimizer = torch.optim.Adam(threshold.parameters(), lr=RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            threshold.loss(quantity, labels).backward()
            optimizer.step()
            threshold.settle()
        found.append(float(threshold.value.detach()))
    assert found == [pytest.approx(0.725, abs=0.01)] * 2


@pytest.mark.parametrize(("pushed", "expected"), [(0.1, 0.5), (1.7, 1.0), (0.8, 0.8)])
def test_settle__keeps_it_in_its_range(pushed: float, expected: float) -> None:
    threshold = Threshold(pushed)
    threshold.settle()
    assert float(threshold.value.detach()) == pytest.approx(expected)


def test_emit__adds_present_cells_only_where_nothing_is_known() -> None:
    labels = torch.tensor([[0.0, 0.0, -1.0, 1.0]])
    found = Threshold(0.7).emit(torch.tensor([[0.8, 0.6, 0.9, 0.1]]), labels)
    assert found.tolist() == [[1.0, 0.0, -1.0, 1.0]]


def test_emit__only_where_it_is_sure() -> None:
    threshold = Threshold(0.85, sure=0.95)
    found = threshold.emit(torch.tensor([[0.71, 0.84, 0.86]]), torch.zeros(1, 3))
    assert found.tolist() == [[0.0, 0.0, 1.0]]
    assert float(threshold.value.detach()) == pytest.approx(0.85 - 0.05 * math.log(19))
