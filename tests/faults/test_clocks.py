"""Wrong wall clocks stop nothing: 1970, the end of 32 bits, steps of an hour (P14); `clock` says what is simulated."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from central.enrol.authority import CA, open_authority
from central.ingest import presence
from central.ingest.presence import Steps
from central.store import database
from central.store.migrations import migrate
from central.store.models import Node
from tests.faults import clock, oracle
from tests.faults.kills import Plan, World
from tests.system.rig import ROOT, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]
EACH = 40
PATIENCE_S = 8.0
"""For a receipt: longer than any takes once the centre listens, so that what is sent again then is so for the clock's
sake."""
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


Start = Callable[[str, str], World]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a world whose node has a wrong clock and maybe a bug."""
    made: list[World] = []

    def of(name: str, bug: str = "") -> World:
        made.append(World(tmp_path / "world", Plan(clock=name, rate=40.0, node_bug=bug, timeout=PATIENCE_S)))
        return made[0]

    yield of
    for each in made:
        each.close()


def connections(world: World) -> int:
    return (world.folder / "node.log").read_text().count("connected to the broker")


def sent_again(world: World) -> int:
    """How often the node, which has ended, took a receipt for overdue."""
    return int(re.findall(r"sent again: (\d+)", (world.folder / "node.log").read_text())[-1])


def arrive(world: World, name: str) -> None:
    """Wait until `EACH` further frames were made and all of them stored, on one connection."""
    before = len(oracle.journal(world.node_folder)[0])
    until(lambda: len(oracle.journal(world.node_folder)[0]) >= before + EACH, f"no frames in {name}", 60)
    until(lambda: world.count() >= before + EACH, f"frames stall in {name}", 60)


def test_frames__of_a_node_with_wrong_clocks_all_arrive_in_order_without_a_stall(start: Start) -> None:
    world = start("1970", "")
    for name in ("1970", "2038", "steps"):
        if name != "1970":  # the machine starts again, and its clock stands elsewhere
            world.plan = replace(world.plan, clock=name)
            world.kill("node")
        arrive(world, name)
    account = world.drain()
    assert account.missing == set()
    assert account.doubled == []
    numbers = defaultdict(list)
    for row in account.rows:
        numbers[row.boot].append(row.sequence)
    assert len(numbers) == 3
    for sent in numbers.values():
        assert sorted(sent) == list(range(len(sent)))
    assert connections(world) == 3, "a connection was given up for the clock's sake"
    assert sent_again(world) == 0, "a receipt was given up for the clock's sake"


def test_frames__a_link_that_measures_with_the_wall_clock_is_found(start: Start) -> None:
    world = start("1970", "")
    arrive(world, "1970")  # until the centre listens, frames have to be sent again
    world.plan = replace(world.plan, clock="steps", node_bug="wall-clock")
    world.kill("node")
    arrive(world, "steps")
    world.drain()
    assert sent_again(world) > 0


def test_certificates__hold_whatever_a_nodes_clock_says(tmp_path: Path) -> None:
    authority = open_authority(tmp_path)
    server = authority.issue_server(["broker.example"]).certificate
    root = next(tmp_path.rglob(CA)).read_text()
    for pem in (root, server):
        found = x509.load_pem_x509_certificate(pem.encode())
        for at in (datetime(1970, 1, 1, 0, 1, tzinfo=UTC), datetime(2038, 1, 19, 3, 15, tzinfo=UTC)):
            assert found.not_valid_before_utc <= at <= found.not_valid_after_utc


@pytest.mark.parametrize(
    ("looks", "stepped"),
    [
        ([(0, 0), (5, 5), (10.2, 10)], [False, False, False]),
        ([(0, 0), (3605, 5), (3610, 10)], [False, True, False]),
        ([(0, 0), (-3595, 5), (-3590, 10)], [False, True, False]),
        ([(0, 0), (300, 300)], [False, False]),
    ],
    ids=["right", "forward", "back", "late"],
)
def test_steps__are_seen_against_the_monotonic_clock(looks: list[tuple[float, float]], stepped: list[bool]) -> None:
    steps = Steps()
    assert [steps.look(NOW + timedelta(seconds=wall), mono) for wall, mono in looks] == stepped


@pytest.mark.parametrize("hours", [1, -1])
def test_silence__a_step_of_the_centres_clock_shuts_nobody_out_and_hides_nobody(tmp_path: Path, hours: int) -> None:
    async def play() -> list[list[str]]:
        db = database.connect(f"sqlite:///{tmp_path}/c.db")
        await migrate(db.engine)
        async with db.write() as session:
            session.add(Node(name="n", state="online", last_seen=NOW, since=NOW))
        after, stepped = timedelta(seconds=100), NOW + timedelta(hours=hours)
        found = []
        async with db.write() as session:
            await presence.forgive(session, stepped)
            found.append(await presence.silence(session, after, stepped + timedelta(seconds=1)))
        async with db.write() as session:
            found.append(await presence.silence(session, after, stepped + timedelta(seconds=101)))
        await db.close()
        return found

    assert asyncio.run(play()) == [[], ["n"]]


def test_durations__are_never_measured_with_the_wall_clock() -> None:
    rooms = ("edge", "protocols", "central/ingest", "central/store")
    files = [f for room in rooms for f in (ROOT / room).rglob("*.py")] + [ROOT / "central/link.py"]
    assert [str(f) for f in files if re.search(r"\btime\.time\(\)", f.read_text())] == []


def test_clock__every_wrong_one_is_wrong() -> None:
    right = datetime.now(UTC)
    assert abs(clock.CLOCKS["1970"]()() - right) > timedelta(days=9000)
    assert abs(clock.CLOCKS["2038"]()() - right) > timedelta(days=1000)
