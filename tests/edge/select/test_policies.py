"""Policies, driven over simulated hours."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest

from edge.select import kinds
from protocols.messages import Assessment, Policy, Selection


def plain(index: int) -> Assessment:
    return Assessment(uncertainty=0.2)


def lively(index: int) -> Assessment:
    odd = index % 50 == 0
    score = 0.9 if odd else 0.1 + 0.1 * (index % 3)
    return Assessment(
        uncertainty=score, inconsistency=float(odd), reasons={"inconsistency": "two cars vanish"} if odd else {}
    )


def drive(
    policy: Policy, seconds: float, fps: float, seed: int = 1, show: Callable[[int], Assessment] = lively
) -> list[tuple[float, Selection]]:
    selector = kinds()[policy.policy].create(policy, Random(seed))
    times = [index / fps for index in range(int(seconds * fps))]
    return [(now, selector.decide(show(index), now)) for index, now in enumerate(times)]


def test_kinds__all_there() -> None:
    baselines = {"uniform", "threshold", "entropy", "core-set", "timelapse"}
    sedna = {"sedna-ibt", "sedna-cross-entropy", "sedna-threshold"}
    assert set(kinds()) == {"budget", "missed", "all"} | baselines | sedna


@pytest.mark.parametrize("name", ["budget", "uniform", "timelapse"])
@pytest.mark.parametrize("quota", [20.0, 60.0, 600.0])
def test_rate__meets_quota_over_hours(name: str, quota: float) -> None:
    kept = sum(
        s.keep for _, s in drive(Policy(version=1, policy=name, frames_per_hour=quota, min_gap_s=0.5), 6 * 3600, 2)
    )
    assert 0.93 * 6 * quota <= kept <= 6 * quota + 1


@pytest.mark.parametrize("name", ["budget", "uniform", "timelapse", "threshold"])
def test_rate__never_above_quota_in_any_hour(name: str) -> None:
    policy = Policy(version=1, policy=name, frames_per_hour=30.0, min_gap_s=0.0)
    times = [now for now, s in drive(policy, 4 * 3600, 1, show=lambda _: Assessment(uncertainty=0.9)) if s.keep]
    assert times
    assert max(sum(start <= other < start + 3600 for other in times) for start in times) <= 30


@pytest.mark.parametrize("name", ["budget", "uniform", "threshold"])
def test_gap__respected(name: str) -> None:
    times = [
        now
        for now, s in drive(Policy(version=1, policy=name, frames_per_hour=3600.0, min_gap_s=2.0), 600, 10)
        if s.keep
    ]
    assert len(times) > 50
    assert min(b - a for a, b in pairwise(times)) >= 2.0 - 1e-6


@pytest.mark.parametrize("name", ["budget", "uniform", "threshold"])
def test_probability__is_the_true_one(name: str) -> None:
    """Kept minus summed probability stays within four standard deviations, in every range of probability."""
    seen: dict[int, list[tuple[float, bool]]] = {}
    for seed in range(6):
        for _, s in drive(Policy(version=1, policy=name, frames_per_hour=900.0, min_gap_s=0.3), 1800, 5, seed):
            seen.setdefault(int(s.probability * 10), []).append((s.probability, s.keep))
    for rows in seen.values():
        variance = sum(p * (1 - p) for p, _ in rows)
        assert abs(sum(k for _, k in rows) - sum(p for p, _ in rows)) <= 4 * variance**0.5 + 1e-9


def test_probability__one_frame_simulated() -> None:
    """The same history drawn afresh many times keeps its last frame as often as its probability says."""
    policy = Policy(version=1, frames_per_hour=1800.0, min_gap_s=0.0)
    kept, expected, total = 0, 0.0, 3000
    for seed in range(total):
        selector = kinds()["budget"].create(policy, Random(seed))
        last = [selector.decide(lively(i), i * 0.2) for i in range(8)][-1]
        kept, expected = kept + last.keep, expected + last.probability
    assert 0.02 < expected / total < 0.98
    assert abs(kept - expected) < 4 * (total * 0.25) ** 0.5


def test_budget__prefers_what_stands_out() -> None:
    rows = drive(Policy(version=1, frames_per_hour=120.0, min_gap_s=0.0), 3 * 3600, 5)
    odd = [s for index, (_, s) in enumerate(rows) if index % 50 == 0 and s.probability > 0]
    rest = [s for index, (_, s) in enumerate(rows) if index % 50 and s.probability > 0]
    assert sum(s.probability for s in odd) / len(odd) > 10 * sum(s.probability for s in rest) / len(rest)
    assert "two cars vanish" in {s.reason for s in odd if s.keep}


def test_budget__audit_share_is_kept() -> None:
    rows = drive(Policy(version=1, frames_per_hour=600.0, audit_share=0.3, min_gap_s=0.0), 4 * 3600, 2)
    kept = [s for _, s in rows if s.keep]
    assert 0.2 < sum(s.reason == "uniform audit" for s in kept) / len(kept) < 0.4


@pytest.mark.parametrize("name", ["budget", "uniform"])
def test_start__frames_from_the_first_seconds(name: str) -> None:
    """A quota of one in two frames of a short recording is met without a running-in."""
    policy = Policy(version=1, policy=name, frames_per_hour=3600.0 * 5, min_gap_s=0.0)
    kept = sum(s.keep for _, s in drive(policy, 12, 10, show=plain))
    assert 45 <= kept <= 75


def test_start__quota_as_fast_as_the_camera_keeps_nearly_all() -> None:
    policy = Policy(version=1, frames_per_hour=3600.0 * 10, min_gap_s=0.0)
    assert sum(s.keep for _, s in drive(policy, 20, 10, show=plain)) >= 175


@pytest.mark.parametrize("name", ["budget", "uniform", "timelapse", "threshold"])
def test_quota_zero__keeps_nothing(name: str) -> None:
    rows = drive(Policy(version=1, policy=name, frames_per_hour=0.0), 60, 5)
    assert not any(s.keep or s.probability for _, s in rows)


def test_all__keeps_everything() -> None:
    assert all(
        s.keep and s.probability == 1.0 for _, s in drive(Policy(version=1, policy="all", frames_per_hour=0.0), 5, 5)
    )


def test_threshold__keeps_only_above_and_audits() -> None:
    policy = Policy(version=1, policy="threshold", frames_per_hour=36000.0, audit_share=0.0, min_gap_s=0.0)
    kept = [index for index, (_, s) in enumerate(drive(policy, 60, 5)) if s.keep]
    assert kept == [index for index in range(300) if index % 50 == 0]


def test_reasons__always_there() -> None:
    for name in kinds():
        assert all(s.reason and s.policy == name for _, s in drive(Policy(version=1, policy=name), 60, 5))
