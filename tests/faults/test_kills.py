"""SIGKILL of node, broker and centre at random under load: every spooled frame is stored exactly once (P1, P2).

The same rig with a planted bug must find it. The long set: ``python -m tests.faults.kills``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import oracle
from tests.faults.kills import Plan, World, torment
from tests.faults.oracle import Account, Row
from tests.system.rig import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]
KILLS = 6
QUOTA = 30
"""Frames in the spool: few, so that some are given up by policy while the centre is away."""
PROVEN = 150
"""Frames accepted, at least."""


@pytest.fixture
def draw() -> random.Random:
    """Chance, whose seed is printed with a failure."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    print("FAULTS_SEED", seed)
    return random.Random(seed)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[[Plan], World]]:
    """Makes a world."""
    made: list[World] = []

    def make(plan: Plan) -> World:
        made.append(World(tmp_path / "world", plan))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_kills__of_all_three_with_replayed_traffic_lose_and_double_nothing(
    world: Callable[[Plan], World], draw: random.Random
) -> None:
    one = world(Plan(quota=QUOTA, replay=3))
    torment(one, KILLS, draw, PROVEN)
    account = one.drain()
    assert account.missing == set()
    assert account.doubled == []
    assert account.waiting == set()
    assert oracle.broken_images(one.centre_folder, account.rows) == []


def test_kills__the_oracle_finds_frames_that_leave_the_spool_with_the_brokers_word(
    world: Callable[[Plan], World],
) -> None:
    one = world(Plan(node_bug="acked"))
    one.moves()
    one.kill("centre")
    until(lambda: one.account().missing, "the planted bug was not found", 30)


def test_kills__the_oracle_finds_receipts_before_the_commit(world: Callable[[Plan], World]) -> None:
    one = world(Plan(centre_bug="receipt-first", rate=200.0))
    for _ in range(5):
        one.moves()
        one.running["centre"].kill()
        if one.account().missing:
            return
        one.start("centre")
    pytest.fail("the planted bug was not found")


def test_kills__the_oracle_finds_frames_that_are_stored_twice(world: Callable[[Plan], World]) -> None:
    one = world(Plan(centre_bug="no-dedupe", replay=3))
    until(lambda: one.account().doubled, "the planted bug was not found", 60)


def row(name: str, sequence: int = 0, sha256: str = "a") -> Row:
    return Row(name, "n", "b", sequence, sha256, "")


@pytest.mark.parametrize(
    ("account", "missing", "doubled"),
    [
        (Account({"a", "b", "c"}, {"b"}, {"c"}, [row("a")]), set(), []),
        (Account({"a", "b"}, set(), set(), [row("a")]), {"b"}, []),
        (Account({"a"}, set(), {"a"}, [row("a")]), set(), []),
        (Account({"a"}, set(), set(), [row("a"), row("a", 1, "b")]), set(), ["a"]),
        (Account({"a"}, set(), set(), [row("a"), row("b", 0, "b")]), set(), [("n", "b", 0)]),
        (Account({"a"}, set(), set(), [row("a"), row("b", 1, "a")]), set(), ["a"]),
    ],
    ids=["all there", "missing", "both places", "name", "place", "image"],
)
def test_oracle__accounts(account: Account, missing: set[str], doubled: list[object]) -> None:
    assert (account.missing, account.doubled) == (missing, doubled)
