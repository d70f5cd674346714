"""What is logged as a probability is one: over many draws, and for estimates."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from edge.select import kinds
from protocols.messages import AUDIT_REASON, Assessment, Policy

FRAMES = 60
DRAWS = 400


def shown(index: int) -> Assessment:
    """An event of three frames every twenty; what follows it is like it, as in any video."""
    return Assessment(unexplained_motion=0.9 if index % 20 < 3 else 0.1 * (index % 2))


def many(policy: Policy, fps: float = 5.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return kept, probability and audit probability ``[DRAWS, FRAMES]`` of the same frames drawn afresh."""
    kept, odds, audit = (np.zeros((DRAWS, FRAMES)) for _ in range(3))
    for draw in range(DRAWS):
        selector = kinds()[policy.policy].create(policy, Random(draw))
        for index in range(FRAMES):
            made = selector.decide(shown(index), index / fps)
            kept[draw, index], odds[draw, index], audit[draw, index] = made.keep, made.probability, made.audit or 0.0
            if made.keep:
                selector.settle(0)
    return kept, odds, audit


@pytest.mark.parametrize("gap", [0.0, 0.7])
@pytest.mark.parametrize("name", ["budget", "uniform", "missed", "entropy"])
def test_probability__is_how_often_each_frame_is_kept(name: str, gap: float) -> None:
    """Also just after a kept frame, where the gap shuts: its chance is in the probability."""
    kept, odds, _ = many(Policy(version=1, policy=name, frames_per_hour=3600.0, min_gap_s=gap, audit_share=0.2))
    error = kept.mean(axis=0) - odds.mean(axis=0)
    spread = np.sqrt(np.maximum(odds.mean(axis=0), 1e-4) / DRAWS)
    assert np.abs(error / spread).max() < 4.5
    assert abs(error.sum()) < 4 * np.sqrt(odds.mean(axis=0).sum() / DRAWS)


@pytest.mark.parametrize("name", ["budget", "missed"])
def test_weights__total_is_without_bias_despite_the_gap(name: str) -> None:
    """One over the probability sums to the number of frames, of the eventful ones and of those in their wake alike."""
    kept, odds, _ = many(Policy(version=1, policy=name, frames_per_hour=3600.0, min_gap_s=0.7, audit_share=0.3))
    weights = np.where(kept > 0, 1.0 / np.maximum(odds, 1e-9), 0.0)
    for wanted in (np.arange(FRAMES) % 20 < 3, np.arange(FRAMES) % 20 >= 3):
        totals = weights[:, wanted].sum(axis=1)
        assert abs(totals.mean() - wanted.sum()) < 4 * totals.std() / np.sqrt(DRAWS)


def test_audit__has_its_own_true_probability() -> None:
    policy = Policy(version=1, frames_per_hour=3600.0, min_gap_s=0.7, audit_share=0.4)
    audited, odds = 0, 0.0
    for draw in range(300):
        selector = kinds()["budget"].create(policy, Random(draw))
        for index in range(FRAMES):
            made = selector.decide(shown(index), index / 5.0)
            audited, odds = audited + (made.reason == AUDIT_REASON), odds + (made.audit or 0.0)
    assert abs(audited - odds) < 4 * odds**0.5


def test_audit__open_while_the_pace_is_slow() -> None:
    """After a burst the policy's own odds are low; the audit's are what they always are."""
    selector = kinds()["threshold"].create(
        Policy(version=1, policy="threshold", frames_per_hour=600.0, min_gap_s=0.0, audit_share=0.1), Random(1)
    )
    rows = [selector.decide(Assessment(uncertainty=0.9), i * 0.2) for i in range(400)]
    assert all((row.audit or 0.0) > 0 for row in rows[1:])


def test_timelapse__has_no_audit() -> None:
    selector = kinds()["timelapse"].create(Policy(version=1, policy="timelapse"), Random(1))
    assert {selector.decide(Assessment(), i * 1.0).audit for i in range(100)} == {None}
