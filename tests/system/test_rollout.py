"""A rollout in whole processes: a centre with its broker, and simulated nodes of which a quarter cannot install it.

bad pack     the rollout halts, few had it, nobody else was offered it, and all are back
good pack    the centre is killed in the middle of a wave; it goes on, and everybody runs it; then all go back
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.commands.swarm import small_jpeg
from edge.swarm.mqtt import Login, Server
from edge.swarm.node import Place, SimulatedNode, Traffic
from protocols import pack as packs
from protocols.topics import DEFAULT_PREFIX
from tests.system import rig
from tests.system.rig import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

NODES = 24
FAILING = 0.25
NAMES = tuple(f"sim-{i:04d}" for i in range(NODES))
PLAN = ("--waves", "3,12", "--soak", "1", "--deadline", "6")


class Swarm:
    """Simulated nodes on a loop of their own."""

    def __init__(self, port: int, seed: int) -> None:
        server = Server("127.0.0.1", port)
        place = Place.of(server, DEFAULT_PREFIX, small_jpeg())
        traffic = Traffic(frames=1, rate=1.0, health_s=0.5, counts_s=60.0, dropouts_per_hour=0.0, failing=FAILING)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.nodes = {
            name: SimulatedNode(name, place, Login(name, name, rig.NODE_PASSWORD), traffic, seed) for name in NAMES
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._thread.start()
        for node in self.nodes.values():
            node.over = True  # no frames: what is looked at is updates
            asyncio.run_coroutine_threadsafe(self._live(node), self._loop).result(10)

    async def _live(self, node: SimulatedNode) -> None:
        self._tasks.append(asyncio.create_task(node.run()))

    def heal(self) -> None:
        """Nodes that failed do so no more."""
        for node in self.nodes.values():
            node.fails, node._silent = "", False

    def runs(self, pack: str) -> set[str]:
        return {name for name, node in self.nodes.items() if node.packs[-1:] == [pack]}

    def offered(self, pack: str) -> set[str]:
        return {name for name, node in self.nodes.items() if any(p == pack for _, p in node.offered)}

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def centre(tmp_path: Path, pack: Path) -> Iterator[rig.Centre]:
    made = rig.Centre(tmp_path / "central", pack, NAMES)
    try:
        yield made.start()
    finally:
        made.kill()
        if made.client is not None:
            made.client.close()


@pytest.fixture
def swarm(centre: rig.Centre) -> Iterator[Swarm]:
    """Nodes of which between four and eight fail."""
    seed = random.randrange(2**32)
    while True:
        made = Swarm(centre.broker_port, seed)
        if 4 <= sum(bool(node.fails) for node in made.nodes.values()) <= 8:
            break
        made._loop.close()
        seed += 1
    print("seed", seed)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def told(centre: rig.Centre, *words: str | Path, status: int = 0) -> dict[str, Any]:
    done = rig.call("central", *words, "--data", centre.folder, "--json")
    assert done.returncode == status, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def state(centre: rig.Centre, number: int) -> str:
    return str(centre.rows(f"SELECT state FROM rollout WHERE id = {number}")[0][0])


def test_rollout__bad_halts_and_goes_back_good_survives_a_killed_centre(
    centre: rig.Centre, swarm: Swarm, pack: Path, other_pack: Path
) -> None:
    old, new = (hashlib.sha256(packs.read_archive(path)[0]).hexdigest() for path in (pack, other_pack))
    told(centre, "release", pack)
    until(lambda: swarm.runs(old) == set(NAMES), "not every node runs the first pack")
    until(lambda: centre.rows("SELECT count(*) FROM node WHERE health_at IS NOT NULL") == [(NODES,)], "no health")

    bad = told(centre, "rollout", "start", other_pack, *PLAN)["id"]
    until(lambda: state(centre, bad) == "rolled_back", "the bad rollout did not go back")
    shown = told(centre, "rollout", "status", str(bad), status=1)
    out = {n["node"] for n in shown["all_nodes"] if n["offered"]}
    assert swarm.offered(new) == out
    assert len(out) in (3, 12)
    assert swarm.runs(new) == set()
    assert [e["to_state"] for e in shown["history"] if e["kind"] == "state"] == [
        "running", "halted", "rolling_back", "rolled_back",
    ]  # fmt: skip
    time.sleep(2 * 2.0 + 0.5)  # the centre looks every two seconds: whoever was to be offered it has been by then
    assert swarm.offered(new) == out

    swarm.heal()
    until(lambda: centre.rows("SELECT count(*) FROM node WHERE state = 'online'") == [(NODES,)], "not all are back")
    good = told(centre, "rollout", "start", other_pack, *PLAN)["id"]
    until(lambda: len(swarm.runs(new)) >= 3, "the first wave does not run it")
    centre.kill()
    assert len(swarm.runs(new)) < NODES
    centre.start()
    until(lambda: state(centre, good) == "done", "it did not go on after the centre was killed")
    assert swarm.runs(new) == set(NAMES)
    told(centre, "rollout", "rollback", str(good), "--reason", "one command")
    until(lambda: state(centre, good) == "rolled_back", "it did not go back")
    assert swarm.runs(old) == set(NAMES)
