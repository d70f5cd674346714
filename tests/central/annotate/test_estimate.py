"""Estimates from frames drawn with known probabilities, against a truth that is known."""

from __future__ import annotations

import numpy as np
import pytest

from central.annotate.estimate import LEAST_FRAMES, ratio, student, wilson

Draws = np.random.Generator


def field(draws: Draws, frames: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return found, objects and probabilities ``[frames]`` of a camera whose hard frames are drawn more often."""
    hard = 1 / (1 + np.exp(2.0 - 1.5 * np.repeat(draws.normal(size=frames // 8), 8)))
    objects = draws.poisson(2.0, frames).astype(float)
    found = draws.binomial(objects.astype(int), 1 - hard).astype(float)
    worth = 0.1 + 3.0 * hard**2
    return found, objects, np.minimum(0.9, worth / worth.mean() * 0.025)


def test_ratio__coverage_and_bias() -> None:
    """The fast form of ``python -m benchmarks.accuracy``, on a hundred frames a time."""
    draws = np.random.default_rng(5)
    inside, errors, naive, trials = 0, [], [], 1000
    for _ in range(trials):
        found, objects, odds = field(draws)
        kept = draws.random(len(odds)) < odds
        truth = found.sum() / objects.sum()
        made = ratio(found[kept], objects[kept], odds[kept])
        assert made is not None
        inside += made.low <= truth <= made.high
        errors.append(made.value - truth)
        naive.append(found[kept].sum() / objects[kept].sum() - truth)
    assert 0.92 <= inside / trials <= 0.98
    assert abs(np.mean(errors)) < 0.005 < 0.1 < -np.mean(naive)


def test_ratio__a_census_is_exact() -> None:
    made = ratio(np.arange(20.0) % 3, np.full(20, 2.0), np.ones(20))
    assert made is not None
    assert made.value == pytest.approx((np.arange(20) % 3).sum() / 40)
    assert made.high - made.low < 1e-3


@pytest.mark.parametrize(("hits", "edge"), [(1.0, 1.0), (0.0, 0.0)])
def test_ratio__never_wrong_is_no_certainty(hits: float, edge: float) -> None:
    made = ratio(np.full(30, hits), np.ones(30), np.full(30, 0.01))
    assert made is not None and made.value == edge
    assert 0.05 < made.high - made.low < 0.25


@pytest.mark.parametrize(
    ("sizes", "odds"),
    [
        (np.ones(LEAST_FRAMES - 1), np.full(LEAST_FRAMES - 1, 0.1)),
        (np.zeros(100), np.full(100, 0.1)),
        (np.ones(20), np.array([1e-6] + [0.9] * 19)),
        (np.array([]), np.array([])),
    ],
)
def test_ratio__too_few_to_tell(sizes: np.ndarray, odds: np.ndarray) -> None:
    assert ratio(np.zeros(len(sizes)), sizes, odds) is None


def test_ratio__frames_without_objects_count_for_nothing() -> None:
    draws = np.random.default_rng(1)
    found, objects, odds = (rows[:60] for rows in field(draws))
    some = objects > 0
    assert ratio(found, objects, odds) == ratio(found[some], objects[some], odds[some])


@pytest.mark.parametrize(("degrees", "value"), [(5, 2.571), (10, 2.228), (30, 2.042), (1e6, 1.960)])
def test_student__table(degrees: float, value: float) -> None:
    assert student(degrees) == pytest.approx(value, abs=0.01)


def test_wilson__by_hand() -> None:
    low, high = wilson(0.9, 100)
    assert (round(low, 3), round(high, 3)) == (0.826, 0.945)
