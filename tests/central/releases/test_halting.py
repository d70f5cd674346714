"""Rollouts grow slowly and stop early."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks.rollout import exposed
from central.releases.halting import Rule, most_failures, must_halt, tail, waves


@pytest.mark.parametrize(
    ("nodes", "sizes"),
    [
        (0, []), (1, [1]), (2, [1, 2]), (10, [1, 3, 10]), (32, [1, 3, 10, 32]),
        (1000, [3, 9, 30, 95, 300, 949, 1000]),
    ],
)
def test_waves__grow_to_everybody(nodes: int, sizes: list[int]) -> None:
    assert waves(nodes) == sizes


@given(nodes=st.integers(1, 200_000))
def test_waves__each_is_larger_and_the_last_is_all(nodes: int) -> None:
    sizes = waves(nodes)
    assert sizes[-1] == nodes
    assert all(a < b for a, b in itertools.pairwise(sizes))


@pytest.mark.parametrize("options", [{"first": 0.0}, {"first": 1.5}, {"growth": 1.0}])
def test_waves__nonsense(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        waves(10, **options)


@settings(deadline=None)
@given(judged=st.integers(1, 400), failed=st.integers(0, 400), share=st.floats(0.001, 0.5))
def test_tail__is_the_binomial_one(judged: int, failed: int, share: float) -> None:
    assert tail(failed, judged, share) == pytest.approx(binom.sf(failed - 1, judged, share), abs=1e-7)


@pytest.mark.parametrize(("failed", "judged", "halts"), [(0, 1, False), (1, 1, True), (1, 9, False), (2, 9, True)])
def test_must_halt__by_what_is_acceptable(failed: int, judged: int, halts: bool) -> None:
    assert must_halt(failed, judged, Rule()) is halts


@given(judged=st.integers(1, 2000))
def test_most_failures__is_the_last_number_without_a_halt(judged: int) -> None:
    most = most_failures(judged, Rule())
    assert not must_halt(most, judged, Rule())
    assert most == judged or must_halt(most + 1, judged, Rule())


@pytest.mark.parametrize(("failing", "most"), [(0.25, 0.03), (0.10, 0.10)])
def test_exposure__stays_small_in_99_of_100_rollouts(failing: float, most: float) -> None:
    assert np.quantile(exposed(failing, 1000, 1000, Rule()), 0.99, method="higher") <= most * 1000


def test_exposure__a_rule_that_never_halts_exposes_everybody() -> None:
    assert (exposed(0.25, 1000, 20, Rule(acceptable=0.999)) == 1000).all()


def test_rule__nonsense() -> None:
    with pytest.raises(ValueError, match=r"must lie in 0\.\.1"):
        Rule(acceptable=0.0)
