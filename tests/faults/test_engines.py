"""SIGKILL of an ingest process, the database, the broker and the store of images, in turn and under load: nothing is
lost, nothing is there twice, and all goes on without a person.

The same rig with a planted bug must find it. The long set: ``python -m tests.faults.engines``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from central import mosquitto
from tests.faults.engines import Engines, Plan, World, torment
from tests.faults.mosquitto import MISSING
from tests.servers.postgres import MissingError

pytestmark = [
    pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.skipif(mosquitto.find() is None, reason=MISSING),
]  # fmt: skip


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    """A PostgreSQL and an S3 server."""
    try:
        made = Engines.start()
    except MissingError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture
def world(engines: Engines, tmp_path: Path) -> Iterator[Callable[[Plan], World]]:
    """Makes a world."""
    made: list[World] = []

    def make(plan: Plan) -> World:
        made.append(World(tmp_path / "world", engines, plan))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def draw() -> random.Random:
    """Chance, whose seed is printed with a failure."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    print("FAULTS_SEED", seed)
    return random.Random(seed)


def test_engines__each_killed_in_turn_lose_and_double_nothing(
    world: Callable[[Plan], World], draw: random.Random
) -> None:
    one = world(Plan())
    torment(one, 1, draw)
    account = one.drain()
    assert account.missing == set()
    assert account.doubled == []
    assert account.waiting == set()
    assert one.broken() == []


def test_engines__the_oracle_finds_receipts_of_a_worker_before_the_commit(world: Callable[[Plan], World]) -> None:
    one = world(Plan(bug="receipt-first", rate=100.0))
    one.ready()
    for _ in range(5):
        one.kill("worker")
        if one.account().missing:
            return
    pytest.fail("the planted bug was not found")
