"""Two servers behind one address, restarted in turn and killed under load: nothing is lost, nothing is done twice."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from central import mosquitto
from protocols import pack as packs
from protocols.messages import utc_now
from protocols.pack import Input, Manifest
from tests.servers.postgres import MissingError, Postgres
from tests.system import several
from tests.system.rig import call, until
from tests.system.several import Person, Server, World, spans, twice

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
DUTIES = {"fleet", "learning", "space", "webhooks"}


@pytest.fixture(params=["postgresql", pytest.param("sqlite", marks=pytest.mark.slow)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Two servers that share a database, a folder of images and a Mosquitto."""
    if mosquitto.find() is None:
        pytest.skip("mosquitto is not on this machine")
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'shared.db'}"
        if request.param == "postgresql":
            try:
                server = Postgres.start()
            except MissingError as error:
                pytest.skip(str(error))
            stack.callback(server.close)
            url = server.create()
        made = several.world(tmp_path, url)
        stack.callback(made.close)
        yield made


def held(world: World) -> set[str]:
    """Return the duties that a server has that is in the list."""
    rows = world.rows("SELECT duty.name FROM duty JOIN server ON server.id = duty.holder")
    return {row[0] for row in rows}


def hears(server: Server, token: str, kind: str, heard: threading.Event) -> threading.Thread:
    """Listen to the events of `server` until one of `kind` comes."""

    def listen() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.stream("GET", f"http://127.0.0.1:{server.port}/api/v1/events", headers=headers, timeout=30) as lines,
        ):
            for line in lines.iter_lines():
                if f'"{kind}"' in line:
                    heard.set()
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    return thread


def drained(server: Server) -> bool:
    """Tell `server` to end; return whether it said so in readiness before it did."""
    assert server.process is not None
    server.process.popen.terminate()
    said = False
    while server.process.popen.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.get(f"http://127.0.0.1:{server.port}/api/v1/ready", timeout=5)
            said = said or (answer.status_code == 503 and "server" in answer.json()["checks"])
        time.sleep(0.05)
    assert server.process.popen.returncode == 0, server.said[-2000:]
    return said


def test_servers__restarted_in_turn_and_killed_lose_nothing(world: World, tmp_path: Path) -> None:
    one, two = world.servers
    person, ends = Person(world.balancer), dict[str, list[datetime]](one=[], two=[])
    world.node.begin()
    person.begin()
    until(lambda: held(world) >= DUTIES, "a duty is done by nobody")

    # What is asked at any server reaches the node, and what changes at one is heard at the other.
    heard = [threading.Event() for _ in world.servers]
    for server, event in zip(world.servers, heard, strict=True):
        hears(server, world.balancer.token, "label", event)
    for _ in world.servers:
        answer = world.balancer.ask("POST", "/nodes/n1/command", {"action": "pause"})
        assert answer.json()["ok"], answer.text
    until(lambda: all(event.is_set() for event in heard), "a server does not hear of labels at the other", 20)

    released(world, tmp_path)

    # A rolling restart, then a death of whoever leads.
    for server in (one, two):
        before = len(person.kept)
        assert drained(server), "it did not say that it ends"
        ends[server.name].append(utc_now())
        until(lambda: held(world) >= DUTIES, "duties were not taken over", 5 if server is one else 20)
        until(lambda before=before: len(person.kept) > before + 3, "labelling stopped")
        server.start()
        until(server.ready, "it is not ready again")
    leader = until(world.holder, "nobody leads")
    assert leader.process is not None
    leader.process.kill()
    ends[leader.name].append(utc_now())
    other = two if leader is one else one
    until(lambda: world.holder() is other, "the leader's duties were not taken over")
    view = until(lambda: gone(world), "the list does not show who died")
    assert {d["name"] for s in view["items"] if s["state"] == "serving" for d in s["duties"]} >= DUTIES

    person.end()
    world.node.publishing = False
    until(lambda: world.node.waiting == 0, "frames have no receipt")
    check(world, person, ends)


def released(world: World, folder: Path) -> None:
    """Release a pack beside the servers, and one at any of them: the node is told of both, each is signed once, and
    every server hands out what none of them registered."""
    manifest = Manifest(name="elsewhere", labels=["car"], input=Input(height=64, width=64))
    made = packs.create(folder / "made", manifest, {"model.onnx": os.urandom(500_000)})
    file = folder / f"elsewhere{packs.SUFFIX}"
    file.write_bytes(packs.archive(made))
    env = world.servers[0].environment
    done = call("central", "release", file, "--data", folder / "beside", "--json", **env)
    assert done.returncode == 0, done.stderr
    pack = json.loads(done.stdout.strip().splitlines()[-1])["pack"]
    until(lambda: world.node.releases, "the node is not told of a release that a command made")
    base = next(p["address"] for p in world.balancer.ask("GET", "/packs").json() if p["address"] != pack)
    answer = world.balancer.ask("POST", "/releases", {"pack": base})
    assert answer.status_code == 201, answer.text
    until(lambda: 2 in world.node.releases, "the node is not told of a release")
    for number in range(6):
        world.node.fetch(f"packs/{pack}", number * 65536)
    until(lambda: len(world.node.pieces) == 6, "a server does not hand the pack out")
    assert set(world.node.pieces) == {(65536, "")}


def gone(world: World) -> Any:
    """Return the list of servers once it shows that one is gone."""
    view = world.balancer.ask("GET", "/servers").json()
    return view if [s["state"] for s in view["items"]].count("gone") == 1 else None


def check(world: World, person: Person, ends: dict[str, list[datetime]]) -> None:
    """Fail unless every frame and label is there once, and no duty was done by two servers at a time."""
    stored = [row[0] for row in world.rows("SELECT sequence FROM frame ORDER BY sequence")]
    assert stored == list(range(len(world.node.sent))), "frames were lost, or stored twice"
    labels = {
        row[0]: (row[1], [row[2], row[3], row[4], row[5]])
        for row in world.rows("SELECT frame, revision, x1, y1, x2, y2 FROM annotation WHERE confirmed")
    }
    assert len(person.kept) > 10
    assert person.kept.items() <= labels.items(), "an acknowledged label was lost"
    assert set(world.node.releases) == {1, 2}
    assert sum(server.said.count("release signed") for server in world.servers) == 2, "signed more than once"
    assert world.node.versions, "nobody answered what the node fetched"
    assert world.node.versions == sorted(world.node.versions), "what is signed went back"
    everyone = [spans(server.said, ends[server.name]) for server in world.servers]
    assert set(everyone[0]) | set(everyone[1]) >= DUTIES
    assert twice(everyone) == []
    print(
        f"{len(stored)} frames, {len(person.kept)} labels, {world.balancer.turned_away} requests asked again, "
        f"{len(world.node.versions)} answers to fetches"
    )


AT = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def log(*lines: tuple[int, str]) -> str:
    """Return what a server says `seconds` after `AT`."""
    return "\n".join(f"{(AT + timedelta(seconds=s)).isoformat()} [info     ] {text} duty=fleet" for s, text in lines)


@pytest.mark.parametrize(
    ("first", "second", "died", "found"),
    [
        ([(0, "a duty is this server's"), (10, "a duty is given back")], [(11, "a duty is this server's")], [], []),
        ([(0, "a duty is this server's")], [(11, "a duty is this server's")], [5], []),
        ([(0, "a duty is this server's")], [(11, "a duty is this server's")], [], ["fleet"]),
        ([(0, "a duty is this server's")], [(11, "a duty is this server's")], [12], ["fleet"]),
    ],
)
def test_twice__sees_what_two_did_at_the_same_time(
    first: list[tuple[int, str]], second: list[tuple[int, str]], died: list[int], found: list[str]
) -> None:
    ends = [AT + timedelta(seconds=s) for s in died]
    assert twice([spans(log(*first), ends), spans(log(*second), [])]) == found
