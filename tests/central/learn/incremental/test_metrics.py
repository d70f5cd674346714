"""Forgetting and its kin, against values by hand."""

from __future__ import annotations

import pytest

from central.learn.incremental.metrics import backward_transfer, forgetting, intransigence

TABLE = [[0.8, 0.0, 0.0], [0.6, 0.7, 0.0], [0.7, 0.5, 0.9]]


def test_backward_transfer__loss_is_negative() -> None:
    assert backward_transfer(TABLE) == pytest.approx((-0.1 - 0.2) / 2)


def test_forgetting__from_the_best_there_was() -> None:
    assert forgetting(TABLE) == pytest.approx((0.1 + 0.2) / 2)


def test_intransigence__what_a_step_did_not_reach() -> None:
    assert intransigence(TABLE, [0.8, 0.8, 0.8]) == pytest.approx((0.0 + 0.1 - 0.1) / 3)


def test_one_step__nothing_to_forget() -> None:
    assert backward_transfer([[0.5]]) == forgetting([[0.5]]) == 0.0
