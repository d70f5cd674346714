"""The simulation of thousands of rollouts decides as the engine does with nodes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rollout import halted_at
from central.releases.halting import Rule
from central.releases.rollout.plan import Plan, sizes
from central.store.database import Database
from tests.central.releases.fleet import fleet

NODES = 30
GATES = {name: {"on": False} for name in ("parity", "agreement", "score_shift", "crashes", "latency")}


@pytest.mark.asyncio
@pytest.mark.parametrize(("failing", "seed"), [(0.25, 0), (0.25, 1), (0.1, 3), (0.1, 6), (0.0, 0)])
async def test_simulation__exposes_as_many_as_the_engine(db: Database, failing: float, seed: int) -> None:
    draw = np.random.default_rng((round(failing * 100), seed))
    fails = draw.random(NODES) < failing
    world = fleet(db, NODES)
    for node, bad in zip(world.nodes.values(), fails, strict=True):
        node.behaviour = str(draw.choice(["fail", "silent", "stall", "dies"])) if bad else "good"
    await world.begin()
    number = await world.start({"gates": GATES, "on_halt": "hold"})
    state = await world.until(number, ["halted", "done"])
    expected = halted_at(fails, sizes(Plan(), NODES), Rule())
    assert len(world.exposed()) == expected
    assert (state == "done") is (expected == NODES and not fails.any())
