"""Kept frames stand apart by change, not by time, and their logged probabilities stay true."""

from __future__ import annotations

from itertools import pairwise
from math import cos, sin
from random import Random

import numpy as np
import pytest

from edge.runtime import Detections, Inference
from edge.select import kinds
from edge.select.quota import Allowance
from edge.select.spacing import OverTime, Spacing
from protocols.messages import Assessment, Policy

NONE = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
STEP_S = 0.2
ALLOWED = Allowance(frames=0.1, gain=1.0, token=True, seconds=STEP_S)
"""One frame in ten."""


def at(angle: float) -> np.ndarray:
    return np.array([cos(angle), sin(angle)], np.float32)


def walked(spacing: Spacing, angles: list[float]) -> list[float]:
    return [spacing.factor(at(angle), ALLOWED) for angle in angles]


def settled(gap: float = 0.0) -> Spacing:
    """Return a spacing that knows its usual change: 0.1 radians a frame; the last frame, at 10 radians, was kept."""
    spacing = Spacing(gap, 1800.0)
    walked(spacing, [0.1 * index for index in range(101)])
    spacing.kept()
    return spacing


def test_factor__one_before_anything_is_kept() -> None:
    assert walked(Spacing(0.0, 1800.0), [0.1 * index for index in range(1, 20)])[1:] == pytest.approx([1.0] * 18)


def test_factor__grows_with_the_change_since_the_kept_frame() -> None:
    found = walked(settled(), [10.0 + 0.1 * index for index in range(1, 21)])
    assert found == sorted(found)
    assert found[0] < 0.02 and found[4] == pytest.approx(0.12, abs=0.03) and found[9] > 0.85 and found[19] > 0.999


def test_factor__still_scene_does_not_move_on() -> None:
    found = walked(settled(), [10.0] * 200)
    assert max(found[:20]) < 0.05  # two turns of time
    assert found[-1] > 0.99  # twenty: the quota is there to be used


def test_factor__scene_that_changes_at_once_has_moved_on() -> None:
    assert walked(settled(), [10.0, 10.0, 12.0])[-1] > 0.95


def test_factor__kept_frame_counts_after_its_gap() -> None:
    """Within the gap, the odds are those that there would have been without it."""
    found = walked(settled(gap=1.0), [10.0 + 0.1 * index for index in range(1, 7)])
    assert min(found[:4]) > 0.99 and max(found[4:]) < 0.3


def test_factor__time_stands_for_change_without_an_embedding() -> None:
    spacing = Spacing(0.0, 1800.0)
    for _ in range(100):
        spacing.factor(None, ALLOWED)
    spacing.kept()
    found = [spacing.factor(None, ALLOWED) for _ in range(20)]
    assert found == sorted(found) and found[0] < 0.02 and found[-1] > 0.999


def test_factor__embedding_of_another_length_is_no_change() -> None:
    spacing = settled()
    assert spacing.factor(np.ones(7, np.float32), ALLOWED) < 0.02


def test_factor__nothing_to_space_where_most_frames_are_allowed() -> None:
    spacing = settled()
    assert spacing.factor(at(10.0), Allowance(0.8, 1.0, True, STEP_S)) >= 0.64


def test_factor__no_time_between_two_frames() -> None:
    assert 0.0 < settled().factor(at(0.0), Allowance(0.0, 1.0, True, 0.0)) <= 1.0


def test_over_time__forgets_what_is_older_than_its_memory() -> None:
    mean = OverTime(10.0)
    for _ in range(100):
        mean.add(5.0, 1.0)
    for _ in range(40):
        mean.add(1.0, 1.0)
    assert mean.mean == pytest.approx(1.0, abs=0.01)


def drawn(name: str, angles: list[float], seed: int, gap: float) -> tuple[list[bool], list[float]]:
    policy = Policy(version=1, policy=name, frames_per_hour=1800.0, min_gap_s=gap)
    selector = kinds()[name].create(policy, Random(seed))
    kept, odds = [], []
    for index, angle in enumerate(angles):
        made = selector.decide(Assessment(uncertainty=0.2), index * STEP_S, Inference(NONE, embedding=at(angle)))
        kept.append(made.keep)
        odds.append(made.probability)
        if made.keep:
            selector.settle(0)
    return kept, odds


@pytest.mark.parametrize("gap", [0.0, 0.7])
def test_budget__probability_is_true_where_the_scene_moves_on(gap: float) -> None:
    """A rush in the middle: each frame is kept as often as its logged probabilities say."""
    angles = list(np.cumsum([0.2 if 20 <= index < 40 else 0.01 for index in range(60)]))
    rows = [drawn("budget", angles, seed, gap) for seed in range(400)]
    kept, odds = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    spread = np.sqrt(np.maximum(odds.mean(axis=0), 1e-4) / len(rows))
    assert np.abs((kept.mean(axis=0) - odds.mean(axis=0)) / spread).max() < 4.5
    assert odds[:, 20:40].sum() > 2 * odds[:, 40:].sum()


def test_budget__frames_stand_more_evenly_than_by_chance() -> None:
    angles = [0.05 * index for index in range(3000)]
    spread = {}
    for name in ("budget", "uniform"):
        gaps = []
        for seed in range(3):
            at_index = [index for index, keep in enumerate(drawn(name, angles, seed, 0.0)[0]) if keep]
            gaps += [later - earlier for earlier, later in pairwise(at_index)]
        spread[name] = float(np.std(gaps) / np.mean(gaps))
    assert spread["budget"] < 0.7 * spread["uniform"]
