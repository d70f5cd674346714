"""A node that is kept from news notices by itself, and a wrong clock raises nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.update.freshness import AGAIN_S, FIRST_S, PERIOD_S, Freshness
from protocols.trust import TIMESTAMP_LIFETIME, TrustError
from protocols.trust.verify import UnreachableError, Verifier
from tests.protocols.test_trust import NOW, Centre


class Time:
    def __init__(self) -> None:
        self.now = 0.0


def looks(freshness: Freshness, time: Time, seconds: float, step: float = 60.0) -> None:
    end = time.now + seconds
    while time.now < end:
        time.now += step
        freshness.tend()


def raising(error: Exception | None, count: list[int]) -> Callable[[], None]:
    def look() -> None:
        count.append(1)
        if error is not None:
            raise error

    return look


def test_tend__soon_after_the_start_and_then_each_period() -> None:
    time, count = Time(), list[int]()
    freshness = Freshness(raising(None, count), clock=lambda: time.now)
    looks(freshness, time, FIRST_S - 1, 1.0)
    assert not count
    looks(freshness, time, 3 * PERIOD_S + 60)
    assert len(count) == 4
    assert freshness.problem == ""


def test_tend__what_is_refused_is_named() -> None:
    time, count = Time(), list[int]()
    freshness = Freshness(raising(TrustError("frozen: it has expired"), count), clock=lambda: time.now)
    looks(freshness, time, FIRST_S)
    assert freshness.problem == "what the centre signs is refused: frozen: it has expired"
    freshness._look = raising(None, count)
    looks(freshness, time, PERIOD_S)
    assert freshness.problem == ""


def test_tend__a_centre_that_is_away_is_no_attack_until_its_signatures_have_ended() -> None:
    time, count = Time(), list[int]()
    freshness = Freshness(raising(UnreachableError("planted"), count), clock=lambda: time.now)
    looks(freshness, time, TIMESTAMP_LIFETIME.total_seconds() - 600)
    assert freshness.problem == ""
    assert len(count) == pytest.approx((TIMESTAMP_LIFETIME.total_seconds() - 600) / AGAIN_S, rel=0.05)
    looks(freshness, time, 1200)
    assert freshness.problem.startswith("frozen: nothing signed was heard of the centre for 2.0 days")


@pytest.mark.parametrize("year", [1970, 2000, 2038, 2100])
def test_look__a_wrong_clock_raises_nothing(tmp_path: Path, year: int) -> None:
    centre, time = Centre(tmp_path / "centre"), Time()
    centre.add(1)
    verifier = Verifier(tmp_path, centre.first, centre, lambda: datetime(year, 1, 1, tzinfo=UTC))
    freshness = Freshness(verifier.refresh, clock=lambda: time.now)
    looks(freshness, time, FIRST_S)
    assert freshness.problem == ""


def test_look__withheld_news_are_noticed_without_an_offer(tmp_path: Path) -> None:
    """Whoever stands between gives the old files, but cannot hold back the time that the centre proves."""
    centre, time = Centre(tmp_path / "centre"), Time()
    centre.add(1)
    freshness = Freshness(Verifier(tmp_path, centre.first, centre, lambda: NOW).refresh, clock=lambda: time.now)
    looks(freshness, time, FIRST_S)
    assert freshness.problem == ""
    centre.now = NOW + TIMESTAMP_LIFETIME + timedelta(hours=1)
    looks(freshness, time, PERIOD_S)
    assert "frozen" in freshness.problem
    centre.repository.renew(centre.now)
    looks(freshness, time, PERIOD_S)
    assert freshness.problem == ""
