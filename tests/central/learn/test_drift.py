"""Whether a camera changed: measures by hand, permutations that keep hours together, and what days differ by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import log
from typing import Any

import numpy as np
import pytest

from central.learn.drift import known, strength
from central.learn.drift.boost import LEAST, shares
from central.learn.drift.curve import pearson3_tail
from central.learn.drift.look import LEAST_FRAMES, Found, Judged, decide, judge, level, words
from central.learn.drift.permute import significance, tail
from central.learn.drift.sample import DAY_S, HOUR_S, MOST_WEIGHT, Sample, Seen, joined, sample

LOOKS = 28.0


def row(*weights: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return one permutation's weights."""
    return np.array([weights], np.float64)


VALUES = np.array([0.0, 1.0, 3.0])


@pytest.mark.parametrize("name", sorted(known()))
def test_apart__nothing_between_equal_sides(name: str) -> None:
    values = np.eye(3) if known()[name].field in ("embedding", "classes") else VALUES
    assert known()[name].apart(values, row(0.2, 0.3, 0.5), row(0.2, 0.3, 0.5))[0] == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "values", "first", "second", "expected"),
    [
        # all mass moves by 3; the deviation of the values is 1.2472
        ("blur", VALUES, (1, 0, 0), (0, 0, 1), 3 / np.std(VALUES)),
        ("detections", VALUES, (0.5, 0.5, 0), (0.5, 0, 0.5), 1 / np.std(VALUES)),
        ("uncertainty", VALUES, (0.5, 0.5, 0), (0.5, 0, 0.5), 0.5),
        ("score", np.zeros(3), (1, 0, 0), (0, 0, 1), 0.0),
        # (2 * 2 - 0 - 0) over the mean distance: 4 / (2 * 2 / 4)
        ("embedding", np.array([[0.0], [2.0]]), (1, 0), (0, 1), 4.0),
        ("class_mix", np.array([[1.0, 0], [0, 1]]), (1, 0), (0, 1), 2 * (1 / 1.02) * log(1.01 / 0.01)),
        ("class_mix", np.array([[1.0, 0], [0, 0]]), (1, 0), (0, 1), 0.0),
    ],
)
def test_apart__by_hand(name: str, values: Any, first: Any, second: Any, expected: float) -> None:
    found = known()[name].apart(values, row(*first), row(*second))
    assert found[0] == pytest.approx(expected, rel=1e-5)


def stream(days: int, rate: int = 3, start: int = 0, seed: int = 0, **shift: float) -> Sample:
    """Return frames of `days`, whose values are normal but for a swing over the day; `shift` moves a field."""
    random = np.random.default_rng((seed, start))
    count = days * 24 * rate
    times = start * DAY_S + (np.arange(count) + 0.5) * HOUR_S / rate
    swing = np.sin(times / DAY_S * 2 * np.pi)
    values = {
        "blur": random.normal(shift.get("blur", 0.0) + 3 * swing, 1.0),
        "embedding": random.normal(shift.get("embedding", 0.0) + 3 * swing[:, None], 1.0, (count, 8)),
    }
    return Sample(times, np.ones(count), values)


def verdict(judged: Judged) -> str:
    return decide([judged], LOOKS)[0]


def test_judge__steady_and_changed() -> None:
    reference = stream(7)
    assert verdict(judge(reference, stream(1, start=7))) == "steady"
    judged = judge(reference, stream(1, start=7, embedding=0.6))
    assert verdict(judged) == "drift"
    assert not judged.measures["blur"].large
    assert words(judged, "drift").startswith("changed: how the frames look, ")


def test_judge__other_hours_are_not_drift() -> None:
    night = stream(1, start=7)
    night = night.of(night.times % DAY_S < 6 * HOUR_S)
    assert len(night) < LEAST_FRAMES
    more = stream(3, start=7)
    night = more.of(more.times % DAY_S < 6 * HOUR_S)
    assert verdict(judge(stream(7), night)) == "steady"
    moved = Sample(night.times + 12 * HOUR_S, night.weights, night.values)
    assert verdict(judge(stream(7), moved)) == "drift", "the same frames would be odd by day"


def test_judge__what_days_differ_by_anyhow_is_not_drift() -> None:
    """Every day has weather of its own: too regular for chance, but usual."""
    days = [stream(1, start=day, embedding=1.2 * (-1) ** day) for day in range(8)]
    reference = days[0]
    for day in days[1:7]:
        reference = joined(reference, day)
    judged = judge(reference, days[7])
    assert min(f.p for f in judged.measures.values()) < 0.01
    assert verdict(judged) == "steady"


def test_judge__weights_undo_a_choice_of_frames() -> None:
    random = np.random.default_rng(3)
    reference, now = stream(7), stream(3, rate=20, start=7)
    left = now.values["blur"] - 3 * np.sin(now.times / DAY_S * 2 * np.pi)
    odds = 1 / (1 + np.exp(-2 * left))
    kept = random.random(len(now)) < odds
    fair = Sample(now.times[kept], 1 / odds[kept], {k: v[kept] for k, v in now.values.items()})
    plain = Sample(fair.times, np.ones(len(fair)), fair.values)
    assert verdict(judge(reference, plain)) == "drift"
    assert verdict(judge(reference, fair)) == "steady"


@pytest.mark.parametrize(
    ("reference", "now", "reason"),
    [
        (stream(7), stream(1, rate=1, start=7), "24 frames now and 504 before; 40 are needed of each"),
        (stream(2), stream(1, start=7), "learning what is usual here: 2 of 3 days"),
    ],
)
def test_judge__not_enough(reference: Sample, now: Sample, reason: str) -> None:
    judged = judge(reference, now)
    assert (judged.p, words(judged, verdict(judged) or "steady"), verdict(judged)) == (None, reason, "not_enough")  # type: ignore[arg-type]


def test_significance__frames_of_one_hour_stay_together() -> None:
    """Hours that differ from each other for reasons of their own are no evidence, however many frames they have."""
    random = np.random.default_rng(0)
    reference, now = stream(7, rate=12), stream(1, rate=12, start=7)
    for part in (reference, now):
        hours, place = np.unique(part.hours, return_inverse=True)
        part.values["embedding"][:] = 5 * random.normal(size=(len(hours), 8))[place]
    alike = [significance(known()["embedding"], reference, now, np.random.default_rng(seed)) for seed in range(3)]
    assert min(found[1] for found in alike if found is not None) > 0.01


def test_significance__is_even_where_nothing_changed() -> None:
    """Values swing over the day: exchanging hours of different times of it would make chance look large."""
    found = [
        significance(known()["embedding"], stream(4, seed=s), stream(1, start=4, seed=s), np.random.default_rng(s), 99)
        for s in range(30)
    ]
    below = np.mean([f[1] <= 0.5 for f in found if f is not None])
    assert 0.25 <= below <= 0.75


def test_tail__beyond_what_was_drawn() -> None:
    drawn = np.random.default_rng(0).normal(size=400)
    assert tail(float(np.median(drawn)), drawn) == pytest.approx(0.5, abs=0.01)
    assert 1e-8 < tail(5.0, drawn) < 1e-4
    assert tail(1.0, np.ones(400)) == 1.0


@pytest.mark.parametrize(("x", "skewness", "expected"), [(3, 0.3, 0.00358490), (6, 1, 9.31416e-5), (1, 2.5, 0.126249)])
def test_pearson3_tail__against_tables(x: float, skewness: float, expected: float) -> None:
    assert pearson3_tail(x, skewness) == pytest.approx(expected, rel=1e-4)


def test_decide__many_cameras_at_once() -> None:
    ps = [1e-9, level(LOOKS) / 5, level(LOOKS), *[0.5] * 7, None]
    assert decide([Judged(p) for p in ps], LOOKS) == ["drift", "drift", *["steady"] * 8, "not_enough"]
    assert decide([Judged(level(LOOKS))], LOOKS) == ["drift"]
    assert decide([], LOOKS) == []


def test_sample__from_stored_frames() -> None:
    at = datetime(2026, 1, 1, 13, tzinfo=UTC)
    box = {"label": "car", "score": 0.5}
    rows = [
        Seen(at, 0.5, np.array([1, 2], "<f4").tobytes(), {"blur": 0.2}, [box, {"label": "tram", "score": 1.0}]),
        Seen(at + timedelta(days=1), 1e-6, None, {"blur": None}, []),
        Seen(at, 0.5, np.array([3, 4], "<f4").tobytes(), {"blur": 0.4}, [box]),
    ]
    made = sample(rows, ("car", "bus"))
    assert made.weights.tolist() == [2.0, 2.0 * MOST_WEIGHT, 2.0]
    assert made.values["classes"].tolist() == [[1, 0], [0, 0], [1, 0]]
    assert made.values["embedding"][0].tolist() == [1, 2] and np.isnan(made.values["embedding"][1]).all()
    assert made.values["score"][[0, 2]].tolist() == [0.75, 0.5] and np.isnan(made.values["score"][1])
    assert made.values["detections"].tolist() == [2, 0, 1] and made.bins.tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("cameras", "boosts", "expected"),
    [
        (("a", "b", "c", "d"), {"a": 2.5}, {"a": 2.5, "b": 0.5, "c": 0.5, "d": 0.5}),
        (("a", "b"), {"a": 3.0}, {"a": 1.75, "b": LEAST}),
        (("a",), {"a": 3.0}, {}),
        (("a", "b"), {"a": 3.0, "b": 3.0}, {}),
        (("a", "b"), {"gone": 3.0}, {}),
        (("a", "b"), {}, {}),
    ],
)
def test_shares__the_node_selects_as_much_as_before(cameras: Any, boosts: Any, expected: dict[str, float]) -> None:
    found = shares(cameras, boosts)
    assert found == pytest.approx(expected)
    assert not found or sum(found.values()) == pytest.approx(len(cameras), abs=1e-3)


def test_strength__of_the_strongest() -> None:
    assert strength({"a": {"value": 2.0, "usual": 1.0}, "b": {"value": 1.0, "usual": None}}) == 2.0
    assert strength({}) is None
    assert not Found(1.0, None, 0.0).large
