"""One frame that can never be stored among a thousand: the others arrive, it is put aside with its reason (P17)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import oracle
from tests.faults.kills import Plan, World
from tests.system.rig import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(200)]
FRAMES = 1000
POISON = 300


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world", Plan(rate=400.0, poison=POISON))
    yield made
    made.close()


def test_refusals__one_of_a_thousand_is_parked_with_its_reason_and_the_others_arrive(world: World) -> None:
    until(lambda: len(oracle.journal(world.node_folder)[0]) >= FRAMES, "too few frames are made", 100)
    account = world.drain()
    parked = list((world.node_folder / "spool" / "parked").glob("*.frame"))
    assert len(parked) == 1
    assert account.missing == {parked[0].stem.split("-", 2)[2]}
    assert POISON not in {row.sequence for row in account.rows}
    assert len(account.rows) == len(account.accepted) - 1 >= FRAMES - 1
    assert "does not match its hash" in parked[0].with_suffix(".reason").read_text()
