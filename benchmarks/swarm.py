"""Ten thousand nodes on one real Mosquitto, most of them idle, a thousand sending frames; centre on PostgreSQL.

    python -m benchmarks.swarm [--nodes 10000] [--active 1000] [--seconds 60] [--frames-per-hour 60] [--workers 1]

Every node keeps its connection alive, says who it is and reports its health twice a minute, as real ones do; active
ones send frames, wait for receipts and count objects besides. All of them live in this process, on one small MQTT
client on asyncio. What is measured is a window after all have connected and half a minute has passed:

connected, connect_s   nodes with a connection, and how long until all had one (`--connects` begin per second)
p50_ms, p99_ms         from a frame's capture to its receipt
cores, memory_mb       of broker, centre, database and of the swarm itself
per_node               what an idle node costs: bytes to and from the broker per hour, microseconds of processor time of
                       broker, centre and database per second
database               transactions, rows written and bytes of the log (WAL) per second
Exit status 1 where a node is not connected, or a frame has no receipt.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import resource
import secrets
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.common import parser, say
from benchmarks.ingest import SYNCED, Meter, Parts, Settings, serving
from benchmarks.processes import family, memory
from central import broker as brokers
from central.embedded import CENTRE
from edge.commands.swarm import jpeg_of
from edge.link import LinkError, Will
from edge.metrics import percentile
from edge.swarm.mqtt import Client, Login, Server
from edge.swarm.node import CAMERA, SIDE, Place, SimulatedNode, Traffic
from protocols import codec, topics
from protocols import messages as m
from protocols.topics import DEFAULT_PREFIX
from tests.servers.postgres import MissingError, Postgres

HEALTH_S: Final = 30.0
"""Between two health messages of a node, as in its settings."""
SETTLE_S: Final = 30.0
"""After the last connection, before anything is measured: births are written, and every node has reported once."""
SPARE: Final = 300
"""Open files beside the connections: libraries, logs, the database."""
RETRIES: Final = 5


@dataclass
class Bytes:
    """What went over all connections of idle nodes, MQTT packets without TCP's own."""

    sent: int = 0
    received: int = 0


class Counted(Client):
    """Counts its bytes."""

    counted: Bytes

    def data_received(self, data: bytes) -> None:
        """Take packets."""
        self.counted.received += len(data)
        super().data_received(data)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1."""
        self.counted.sent += len(topic) + len(payload) + 7
        super().publish(topic, payload, retain=retain)


class IdleNode:
    """A node that watches and sees nothing worth sending: a timer instead of tasks, as there are thousands."""

    def __init__(self, name: str, place: Place, login: Login, counted: Bytes, draw: random.Random) -> None:
        self.name, self._place, self._login, self._bytes, self._draw = name, place, login, counted, draw
        self._client: Counted | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._began = time.monotonic()
        self.lost = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._client is not None and self._client.alive

    async def connect(self) -> None:
        """Connect and say who it is. Raises LinkError."""
        client = Counted(lambda *_: None, self._gone, lambda: None)
        client.counted = self._bytes
        topic = topics.build(self._place.prefix, self.name, "status")
        will = Will(topic, codec.encode("status", self._status("offline")))
        filters = topics.subscriptions(self._place.prefix, "node", self.name)
        await client.open(self._place.server, self._login, will, filters)
        self._client = client
        self._send("status", self._status("online"))
        self._timer = asyncio.get_running_loop().call_later(self._draw.uniform(0, HEALTH_S), self._report)

    def leave(self) -> None:
        """Disconnect."""
        if self._timer is not None:
            self._timer.cancel()
        if self._client is not None:
            self._client.close()

    def _gone(self, _reason: str) -> None:
        self.lost += 1

    def _status(self, state: Any) -> m.Status:
        camera = m.CameraInfo(camera=CAMERA, source="simulated", width=SIDE, height=SIDE)
        return m.Status(
            state=state, node=self.name, boot="b", time=None if state == "offline" else m.utc_now(), site="swarm",
            version="1", backend="simulated", cameras=[camera],
        )  # fmt: skip

    def _report(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEALTH_S * self._draw.uniform(0.9, 1.1), self._report)
        camera = m.CameraHealth(
            camera=CAMERA, state="watching", fps=10.0, frames=1000, latency_p50_ms=20.0, blur=0.4, uncertainty=0.3
        )
        self._send("health", m.Health(
            node=self.name, boot="b", time=m.utc_now(), uptime_s=time.monotonic() - self._began, temperature_c=40.0,
            crashes=0, cameras=[camera],
        ))  # fmt: skip

    def _send(self, channel: str, message: m.Message) -> None:
        if self._client is not None and self._client.alive:
            topic = topics.build(self._place.prefix, self.name, channel)
            self._client.publish(topic, codec.encode(channel, message), retain=topics.CHANNELS[channel].retained)


def room(nodes: int) -> None:
    """Let this process, and what it starts, open a file for each node. Raises OSError where the machine forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = nodes + SPARE
    if hard != resource.RLIM_INFINITY and hard < need:
        raise OSError(
            0, f"{nodes} nodes need {need} open files, {hard} are allowed here; give --nodes {hard - SPARE}, or raise "
            f"it as root: ulimit -Hn {need}",
        )  # fmt: skip
    if soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


def _up(nodes: list[IdleNode | SimulatedNode]) -> int:
    return sum(node.connected for node in nodes)


async def _start(idle: list[IdleNode], active: list[SimulatedNode], per_s: float) -> tuple[float, list[Any]]:
    """Connect everybody at `per_s`; return the seconds that took, and the tasks of the active ones."""
    began, tasks, joining = time.monotonic(), [], []

    async def one(node: IdleNode) -> None:
        for turn in range(RETRIES):
            try:
                await node.connect()
                return
            except LinkError as error:
                if turn == RETRIES - 1:
                    say(f"{node.name}: {error}")
                await asyncio.sleep(1.0 + turn)

    everybody: list[IdleNode | SimulatedNode] = [*idle, *active]
    random.Random(1).shuffle(everybody)
    for number, node in enumerate(everybody):
        if isinstance(node, IdleNode):
            joining.append(asyncio.create_task(one(node)))
        else:
            tasks.append(asyncio.create_task(node.run()))
        ahead = began + number / per_s - time.monotonic()
        if ahead > 0.01:
            await asyncio.sleep(ahead)
        if number % 1000 == 999:
            say(f"{number + 1} began, {_up(everybody)} connected")
    await asyncio.gather(*joining)
    while not all(n.connected for n in active) and time.monotonic() - began < len(everybody) / per_s + 60:
        await asyncio.sleep(0.1)
    return time.monotonic() - began, tasks


_WRITES: Final = """SELECT d.xact_commit, d.tup_inserted + d.tup_updated + d.tup_deleted,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint FROM pg_stat_database d WHERE datname = current_database()"""


def _writes(server: Postgres, url: str) -> tuple[int, ...]:
    return tuple(int(value) for value in server.run(_WRITES, url)[0])


def _memory(parts: Parts) -> dict[str, int]:
    return {name: round(sum(memory(pid) for pid in those()) / 1e6) for name, those in parts.items()}


async def _watch(
    idle: list[IdleNode], active: list[SimulatedNode], counted: Bytes, parts: Parts, server: Postgres,
    url: str, given: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """Measure once all are connected."""
    connect_s, tasks = await _start(idle, active, given.connects)
    say(f"{_up([*idle, *active])} of {given.nodes} connected after {connect_s:.0f} s")
    gc.freeze()  # nothing of it goes before the end; looking at it again and again would be measured as well
    await asyncio.sleep(SETTLE_S)
    meter, before = Meter(parts), (counted.sent, counted.received)
    rows = await asyncio.to_thread(_writes, server, url)
    already = [len(n.tally.latencies) for n in active]
    began = time.monotonic()
    await asyncio.sleep(given.seconds)
    taken = time.monotonic() - began
    _, spent, _ = meter.read()
    written = [b - a for a, b in zip(rows, await asyncio.to_thread(_writes, server, url), strict=True)]
    connected = _up([*idle, *active])
    held_mb = _memory(parts)
    for node in active:
        node.over = True
    until = time.monotonic() + 60
    while not all(n.done for n in active) and time.monotonic() < until:
        await asyncio.sleep(0.1)
    latencies = [v for n, old in zip(active, already, strict=True) for v in n.tally.latencies[old:]]
    missing = sum(len(n.waiting) for n in active)
    everybody: list[IdleNode | SimulatedNode] = [*idle, *active]
    for each in everybody:
        each.leave()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    hours, ms = taken / 3600 * max(1, len(idle)), [1000 * v for v in latencies]
    return {
        "connected": connected, "connect_s": round(connect_s, 1), "lost": sum(n.lost for n in idle),
        "frames": len(latencies), "frames_per_s": round(len(latencies) / taken, 1), "missing": missing,
        "p50_ms": round(statistics.median(ms), 1) if ms else None,
        "p99_ms": round(percentile(ms, 0.99), 1) if ms else None,
        "cores": {name: round(seconds / taken, 3) for name, seconds in spent.items()}, "memory_mb": held_mb,
        "per_node": {
            "bytes_to_broker_per_h": round((counted.sent - before[0]) / hours),
            "bytes_from_broker_per_h": round((counted.received - before[1]) / hours),
            "us_per_s": {n: round(1e6 * s / taken / given.nodes, 1) for n, s in spent.items() if n != "swarm"},
        },
        "database": dict(zip(("commits_per_s", "rows_per_s", "wal_bytes_per_s"),
                             (round(v / taken, 1) for v in written), strict=True)),
    }  # fmt: skip


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures. Raises OSError, BrokerError, MissingError."""
    if not 0 <= given.active <= given.nodes:
        raise OSError(0, f"--active {given.active}: 0 to {given.nodes}, the number of nodes")
    room(given.nodes)
    names = [f"sim-{i:05d}" for i in range(given.nodes)]
    users = dict.fromkeys((CENTRE, *names), secrets.token_hex(8))
    counted, draw, loop = Bytes(), random.Random(1), asyncio.new_event_loop()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wayside-swarm-")))
        folder.chmod(0o755)
        for name in ("broker", "pg"):
            (folder / name).mkdir()
        server = Postgres.start(folder / "pg", None, **SYNCED)
        stack.callback(server.close)
        url = server.create()
        (folder / "broker" / brokers.USERS).write_text(json.dumps(users))
        say("the broker hashes every node's password first")
        broker = loop.run_until_complete(brokers.start_own("mosquitto", folder / "broker", 0))
        stack.callback(lambda: loop.run_until_complete(broker.stop()))
        at = broker.centre
        place = Place.of(Server(at.host, at.port), DEFAULT_PREFIX, jpeg_of(given.size))
        logins = {name: Login(f"wayside-{name}", name, users[name]) for name in names}
        traffic = Traffic(0, given.frames_per_hour / 3600, given.size, dropouts_per_hour=0.0)
        active = [SimulatedNode(n, place, logins[n], traffic, 1) for n in names[: given.active]]
        idle = [IdleNode(n, place, logins[n], counted, draw) for n in names[given.active :]]
        pids = stack.enter_context(serving(Settings(folder / "central", at.url, url, given.workers)))
        assert server._process is not None
        database, mosquitto = server._process.pid, broker.pid
        assert mosquitto is not None
        parts: Parts = {
            "broker": lambda: family(mosquitto), "centre": lambda: [p for pid in pids for p in family(pid)],
            "database": lambda: family(database), "swarm": lambda: [os.getpid()],
        }  # fmt: skip
        found = loop.run_until_complete(_watch(idle, active, counted, parts, server, url, given))
    found["ok"] = found["connected"] == given.nodes and not found["missing"]
    return {"nodes": given.nodes, "active": given.active, "workers": given.workers, "size": given.size, **found}


def main() -> int:
    """Parse, run, print one JSON line."""
    made = parser("Thousands of nodes on one broker, most of them idle.", images=False)
    made.add_argument("--nodes", type=int, default=10_000)
    made.add_argument("--active", type=int, default=1_000, help="of them send frames")
    made.add_argument("--seconds", type=float, default=60.0, help="that are measured")
    made.add_argument("--frames-per-hour", type=float, default=60.0, help="of each active node")
    made.add_argument("--size", type=int, default=60_000, help="bytes of a frame")
    made.add_argument("--connects", type=float, default=200.0, help="nodes that begin to connect per second")
    made.add_argument("--workers", type=int, default=1, help="processes of the centre that take frames in")
    try:
        answer = run(made.parse_args())
    except (brokers.BrokerError, MissingError, OSError) as error:
        say(f"swarm: {error}")
        return 2
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
