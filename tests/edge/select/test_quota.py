"""Quotas of bytes and frames, per hour and per day, over simulated days."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from benchmarks.budget import SHAPES, camera, most_within
from edge.select import Selector, kinds
from edge.select.history import DAY_S, HOUR_S, PATIENCE_S, History, Window
from edge.select.quota import Quota
from protocols.messages import Assessment, Policy

MEBI = 1 << 20


def policy(name: str = "budget", **fields: float) -> Policy:
    return Policy(version=1, policy=name, **{"frames_per_hour": 3600.0, **fields})  # type: ignore[arg-type]


def spend(selector: Selector, shape: str, seconds: float, fps: float, seed: int) -> list[tuple[float, int]]:
    rows = []
    for moment in camera(shape, seconds / DAY_S, fps, Random(seed)):
        if selector.decide(moment.assessment, moment.now).keep:
            size = min(moment.size, selector.most_bytes() or moment.size)
            selector.settle(size)
            rows.append((moment.now, size))
    return rows


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_per_day__met_within_five_percent_and_never_exceeded(shape: str) -> None:
    quota = 40 * MEBI
    days = 2.0 if shape == "off" else 1.0
    selector = kinds()["budget"].create(policy(bytes_per_day=quota), Random(7))
    rows = spend(selector, shape, days * DAY_S, 0.5 if shape == "night" else 0.1, 8)
    last = sum(size for now, size in rows if now > (days - 1) * DAY_S)
    assert 0.95 * quota <= last <= quota
    assert most_within(rows, DAY_S) <= quota


@pytest.mark.parametrize("name", ["budget", "uniform", "threshold", "timelapse", "entropy"])
def test_bytes_per_hour__never_exceeded(name: str) -> None:
    quota = 2 * MEBI
    selector = kinds()[name].create(policy(name, bytes_per_hour=quota, min_gap_s=0.0), Random(1))
    rows = spend(selector, "rush", 10 * HOUR_S, 0.5, 2)
    assert rows and most_within(rows, HOUR_S) <= quota


@pytest.mark.parametrize("seed", range(3))
def test_frames_per_day__met_and_never_exceeded(seed: int) -> None:
    selector = kinds()["budget"].create(policy(frames_per_day=400.0), Random(seed))
    rows = [(now, 1) for now, _ in spend(selector, "constant", DAY_S, 0.2, seed)]
    assert 380 <= most_within(rows, DAY_S) <= 400


def test_frames_that_grow_suddenly__still_within_the_quota() -> None:
    """Frames ten times as heavy as any before: their weight is bounded by what the quota reserved."""
    quota = 2 * MEBI
    selector = kinds()["budget"].create(policy(bytes_per_hour=quota, min_gap_s=0.0), Random(1))
    rows = []
    for index in range(7200):
        if selector.decide(Assessment(uncertainty=0.5), index * 1.0).keep:
            size = min(10_000 if index < 3600 else 100_000, selector.most_bytes() or 0)
            selector.settle(size)
            rows.append((float(index), size))
    assert max(size for _, size in rows) > 10_000
    assert most_within(rows, HOUR_S) <= quota


def test_late_weights__quota_holds_while_they_are_unknown() -> None:
    """Nothing is weighed for the first half minute; what is kept meanwhile is counted at its most."""
    quota = 4 * MEBI
    selector = kinds()["uniform"].create(policy("uniform", bytes_per_hour=quota, min_gap_s=0.0), Random(1))
    kept = [i for i in range(30) if selector.decide(Assessment(), float(i)).keep]
    assert len(kept) * 1_000_000 <= quota


def test_follow__a_change_of_policy_opens_no_new_quota() -> None:
    old = kinds()["threshold"].create(policy("threshold", frames_per_hour=60.0, min_gap_s=0.0), Random(1))
    kept = sum(old.decide(Assessment(uncertainty=0.9), i * 1.0).keep for i in range(1800))
    new = kinds()["uniform"].create(policy("uniform", frames_per_hour=60.0, min_gap_s=0.0), Random(1))
    new.follow(old)
    more = sum(new.decide(Assessment(), 1800 + i * 1.0).keep for i in range(1799))
    assert kept and more and kept + more <= 60


def test_gap__holds_over_a_change_of_policy() -> None:
    old = kinds()["all"].create(policy("all"), Random(1))
    old.decide(Assessment(), 10.0)
    new = kinds()["threshold"].create(policy("threshold", min_gap_s=5.0), Random(1))
    new.follow(old)
    times = [t for t in (11.0, 14.0, 15.0, 16.0) if new.decide(Assessment(uncertainty=0.9), t).keep]
    assert times == [15.0]


def test_history__unweighed_frames_are_booked_and_their_late_weights_ignored() -> None:
    history = History()
    history.keep(0.0, 500)
    history.move(PATIENCE_S + 1)
    assert (history.hour.frames, history.hour.bytes) == (1, 500)
    history.keep(PATIENCE_S + 2, 500)
    history.settle(300)  # of the first frame: too late
    history.settle(200)
    history.move(PATIENCE_S + 3)
    assert (history.hour.frames, history.hour.bytes, history.mean) == (2, 700, 200.0)


def test_window__never_shorter_than_it_is() -> None:
    window = Window(HOUR_S)
    window.add(3.5, 10)
    window.move(3.5 + HOUR_S - 0.01)
    assert window.bytes == 10
    window.move(3.5 + HOUR_S + 2 * HOUR_S / 1000)
    assert (window.frames, window.bytes) == (0, 0)


def test_lost_frame__costs_no_bytes() -> None:
    quota = Quota(policy(bytes_per_hour=5 * MEBI, min_gap_s=0.0))
    quota.step(0.0)
    quota.spend(0.0)
    quota.history.settle(0)
    quota.step(1.0)
    assert quota.history.hour.bytes == 0 and not quota.closed()


def test_gap__no_two_frames_within_it_under_any_policy() -> None:
    for name in sorted(set(kinds()) - {"all"}):
        selector = kinds()[name].create(policy(name, min_gap_s=3.0), Random(2))
        times = [now for now, _ in spend(selector, "bursts", 900.0, 5.0, 3)]
        assert all(later - earlier >= 3.0 - 1e-6 for earlier, later in pairwise(times)), name
