"""A rollout halts on harm, silence counts as failure (P12), and success means running and healthy (P13).

The rule alone over 4,000 seeds; the engine with nodes that die at every point of an update. Each has its planted bug.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from benchmarks.rollout import exposed
from central.releases.halting import Rule
from central.releases.rollout import observe
from central.store import database
from central.store.database import Database
from central.store.migrations import migrate
from central.store.models import RolloutNode
from tests.central.releases.fleet import NEW, World, fleet

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

SEEDS = 4000
NODES = 1000
FLEET = 60
POINTS = ("silent", "stall", "dies", "lies", "fail")
"""Never heard of again; killed while it fetched; killed between install and probe; runs the old one; says no."""


@pytest.fixture
def draw() -> random.Random:
    """Chance, whose seed is printed with a failure."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    print("FAULTS_SEED", seed)
    return random.Random(seed)


@pytest_asyncio.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    made = database.connect(database.sqlite_url(tmp_path / "central.db"))
    await migrate(made.engine)
    yield made
    await made.close()


@pytest.mark.parametrize(("failing", "most"), [(0.25, 0.03), (0.10, 0.10)])
def test_exposure__p99_of_4000_rollouts_through_1000_nodes(failing: float, most: float) -> None:
    assert np.quantile(exposed(failing, NODES, SEEDS, Rule()), 0.99, method="higher") <= most * NODES


def test_exposure__a_rule_that_needs_certainty_is_found() -> None:
    planted = Rule(significance=1e-9)
    assert np.quantile(exposed(0.25, NODES, SEEDS, planted), 0.99, method="higher") > 0.03 * NODES


async def rolled(db: Database, draw: random.Random, share: float) -> tuple[World, int, str]:
    """Roll out to nodes of which `share` are killed somewhere, until it has ended."""
    world = fleet(db, FLEET)
    for node in world.nodes.values():
        node.behaviour = draw.choice(POINTS) if draw.random() < share else "good"
    await world.begin()
    number = await world.start({"order": "random", "seed": draw.randrange(1, 2**31), "on_halt": "hold"})
    return world, number, await world.until(number, ["halted", "done"], limit=120, seconds=20)


async def false_successes(world: World, number: int) -> set[str]:
    """Return nodes that count as successes without having said that they run the pack."""
    healthy = {name for name, stage in (await world.stages(number)).items() if stage == "healthy"}
    return {name for name in healthy if world.nodes[name].behaviour != "good" or world.nodes[name].pack != NEW}


def harmless(world: World, state: str) -> None:
    """Fail where harm went on: as many as these cannot fail by themselves, in a wave as large as these."""
    hurt = [name for name in world.exposed() if world.nodes[name].behaviour != "good"]
    assert state == "halted", f"{len(hurt)} of {len(world.exposed())} nodes were hurt, and it went on"
    assert len(world.exposed()) < FLEET


@pytest.mark.asyncio
async def test_engine__a_quarter_dies_somewhere_and_it_halts_without_a_false_success(
    db: Database, draw: random.Random
) -> None:
    world, number, state = await rolled(db, draw, 0.25)
    harmless(world, state)
    assert await false_successes(world, number) == set()


@pytest.mark.asyncio
async def test_engine__the_oracle_finds_that_silence_does_not_count(
    db: Database, draw: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overlook(row: RolloutNode, reason: str) -> None:
        row.stage = "healthy" if reason.startswith("silent") else "failed"

    monkeypatch.setattr(observe, "_fail", overlook)
    monkeypatch.setattr("tests.faults.test_rollout.POINTS", ("silent", "dies"))
    world, _, state = await rolled(db, draw, 0.5)
    with pytest.raises(AssertionError):
        harmless(world, state)


@pytest.mark.asyncio
async def test_engine__the_oracle_finds_that_installed_counts_as_success(
    db: Database, draw: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    def believe(row: RolloutNode, *_: Any) -> None:
        row.stage = "healthy"

    monkeypatch.setattr(observe, "_installed", believe)
    monkeypatch.setattr("tests.faults.test_rollout.POINTS", ("dies",))
    world, number, _ = await rolled(db, draw, 0.5)
    assert await false_successes(world, number)
