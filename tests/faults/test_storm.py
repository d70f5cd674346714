"""A reconnect storm is harmless: all nodes are back in time, because they do not come in the same moment.

The quick set; the long one is ``python -m tests.faults.storm``. The planted bug is a wait without jitter.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from central import mosquitto
from tests.faults.mosquitto import MISSING, Mosquitto
from tests.faults.storm import BACK_S, peak, storm

pytestmark = [
    pytest.mark.faults, pytest.mark.timeout(180), pytest.mark.skipif(mosquitto.find() is None, reason=MISSING),
]  # fmt: skip
NODES = 40
STEADY_S = 1.0
"""Shortened: a connection that lived this long counts as steady."""
CROWD = 0.5
"""Share of the nodes in one tenth of a second that is a crowd: with full jitter it is about a tenth of them."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that runs."""
    made = Mosquitto(tmp_path).start()
    yield made
    made.stop()


@pytest.fixture
def seed() -> int:
    """Chance, whose seed is printed with a failure."""
    chosen = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    print("FAULTS_SEED", chosen)
    return chosen


async def test_storm__all_are_back_in_time_and_nobody_crowds(broker: Mosquitto, seed: int) -> None:
    figures = await storm(broker, NODES, 2, seed, steady_s=STEADY_S, down_s=0.5)
    print(figures.json())
    assert max(figures.back_s) <= BACK_S
    assert max(figures.peaks) < CROWD


async def test_storm__without_jitter_is_found(broker: Mosquitto, seed: int) -> None:
    figures = await storm(broker, NODES, 1, seed, jitter=False, steady_s=STEADY_S, down_s=0.5)
    print(figures.json())
    assert max(figures.peaks) >= CROWD


@pytest.mark.parametrize(("knocks", "share"), [([], 0.0), ([0.0, 0.05, 0.2, 0.31], 0.5), ([1.0], 0.25)])
def test_peak__is_the_busiest_tenth_of_a_second(knocks: list[float], share: float) -> None:
    assert peak(knocks, 4) == share
