"""Frames per second that one, two and four ingest processes make durable, on PostgreSQL and Mosquitto.

    python -m benchmarks.ingest [--workers 1 2 4] [--nodes 16] [--seconds 8] [--rounds 2] [--size 60000] --json

Simulated nodes send as fast as receipts come, into a real centre on a PostgreSQL that syncs at every commit; a frame
counts when its receipt is back at its node. The runs with different numbers of processes take turns, `--rounds` times;
the medians count. `rows` holds for each number of processes:

per_s       frames receipted per second
cpu_us      microseconds of processor time for one frame, by part: nodes (the load itself), broker, ingest, database
cores       how many cores each part kept busy, and others on this machine
limit       what kept it from being more: the machine's cores, one process of a part that cannot be split further, or
            waiting (for the disk's sync, or for locks)

`ratio` is per_s of two processes over one, and `possible` what the processor time of a frame lets it be on this
machine: one ingest process can use one core, everything together no more than there are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import queue
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.common import parser, say
from benchmarks.link import SPAWN
from benchmarks.processes import cpu_s, family, machine_s
from central import broker as brokers
from central import service
from central.embedded import CENTRE
from edge.commands.swarm import swarm
from edge.mqtt import Broker
from edge.swarm.node import Traffic
from edge.swarm.run import Plan
from protocols.topics import DEFAULT_PREFIX
from tests.servers.postgres import MissingError, Postgres

BUSY: Final = 0.9
"""Share of a core from which on a process counts as using it up; the rest is waiting for its turn."""
SYNCED: Final = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB", "max_wal_size": "1GB"}


@dataclass(frozen=True)
class Settings:
    """Those of a centre without a face."""

    data: Path
    broker_url: str
    database_url: str
    ingest_workers: int
    broker_port: int = 0
    blob_url: None = None
    prefix: str = DEFAULT_PREFIX


def centre(settings: Settings, results: Any) -> None:
    """Be a centre until killed."""

    async def serve() -> None:
        made = await service.start(settings)
        await made.link.wait_connected(20)
        while made.workers is not None and len(made.workers.counters) < settings.ingest_workers - 1:
            await asyncio.sleep(0.05)
        results.put([os.getpid(), *(made.workers.pids if made.workers else ())])
        await asyncio.sleep(3600)

    asyncio.run(serve())


@contextmanager
def serving(settings: Settings) -> Iterator[list[int]]:
    """A centre in processes of its own, whose numbers these are."""
    results = SPAWN.Queue()
    process = SPAWN.Process(target=centre, args=(settings, results))
    process.start()
    try:
        yield results.get(timeout=60)
    except queue.Empty:
        raise OSError(0, "the centre did not start") from None
    finally:
        process.kill()
        process.join(10)
        time.sleep(1.0)  # its workers end with their standard input


Parts = dict[str, Callable[[], list[int]]]
"""Numbers of the processes of each part of the system."""


class Meter:
    """Processor seconds of parts of the system, and of the busiest process of each, since it was made."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._before, self._began = parts, self._look(parts), time.monotonic()
        self._machine = machine_s()

    @staticmethod
    def _look(parts: Parts) -> dict[str, dict[int, float]]:
        return {name: {pid: cpu_s(pid) for pid in those()} for name, those in parts.items()}

    def read(self) -> tuple[float, dict[str, float], dict[str, float]]:
        """Return seconds gone, processor seconds by part, and those of each part's busiest process."""
        now = self._look(self._parts)
        spent = {
            name: [seconds - self._before[name].get(pid, 0.0) for pid, seconds in each.items()]
            for name, each in now.items()
        }
        total = {name: sum(each) for name, each in spent.items()}
        return time.monotonic() - self._began, total, {name: max(each, default=0.0) for name, each in spent.items()}


    def others(self, spent: float) -> float:
        """Return the processor seconds of everything else on the machine, where ours are `spent`."""
        return max(0.0, machine_s() - self._machine - spent)


def limit(cores: int, busy: float, others: float, busiest: dict[str, float]) -> str:
    """Return what kept the rate where it was: cores `busy` with us and with others, and of each part's busiest
    process."""
    if busy + others >= BUSY * cores:
        return f"the machine's {cores} cores" + (f", of which others had {others:.1f}" if others > 0.1 else "")
    full = [name for name, share in busiest.items() if share >= BUSY]
    return f"one process of {' and '.join(full)}" if full else "waiting: for syncs of the disk, locks and receipts"


def possible(cpu_us: dict[str, float], cores: int) -> float:
    """Return by how much two ingest processes can be faster than one, from the processor time of a frame by part.

    An ingest process, the broker and the nodes here are one thread's worth of work each; the database has one process
    for each connection."""
    total = sum(cpu_us.values())

    def rate(workers: int) -> float:
        alone = max(cpu_us["ingest"] / workers, cpu_us["broker"], cpu_us["nodes"])
        return min(1.0 / alone, cores / total)

    return rate(2) / rate(1)


def measure(settings: Settings, broker: brokers.Broker, server: Postgres, users: dict[str, str], given: Any) -> Any:
    """Return the figures of one run."""
    assert server._process is not None and broker.pid is not None
    database, mosquitto = server._process.pid, broker.pid
    with serving(settings) as pids:
        parts: Parts = {
            "nodes": lambda: [os.getpid()],
            "broker": lambda: family(mosquitto),
            "ingest": lambda: [p for pid in pids for p in family(pid)],
            "database": lambda: family(database),
        }
        traffic = Traffic(0, 0.0, given.size, dropouts_per_hour=0.0)
        at = broker.centre

        def load(seconds: float) -> dict[str, Any]:
            plan = Plan(given.nodes, traffic, seconds, 60.0)
            return swarm(plan, Broker(at.host, at.port), DEFAULT_PREFIX, lambda _: None, users)

        load(1.5)
        meter = Meter(parts)
        told = load(given.seconds)
        seconds, spent, busiest = meter.read()
        others = meter.others(sum(spent.values())) / seconds
    if not told["ok"]:
        raise OSError(0, f"{told['missing']} frames have no receipt")
    frames = told["receipted"]
    cores = os.cpu_count() or 1
    busy = {name: each / seconds for name, each in spent.items()}
    return {
        "per_s": round(frames / told["seconds"], 1),
        "p50_ms": told["p50_ms"], "p99_ms": told["p99_ms"],
        "cpu_us": {name: round(1e6 * each / frames) for name, each in spent.items()},
        "cores": {name: round(each, 2) for name, each in busy.items()} | {"others": round(others, 2)},
        "limit": limit(cores, sum(busy.values()), others, {name: each / seconds for name, each in busiest.items()}),
    }  # fmt: skip


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of every number of workers."""
    names = [f"sim-{i:04d}" for i in range(given.nodes)]
    users = {name: secrets.token_hex(16) for name in (CENTRE, *names)}
    runs: dict[int, list[Any]] = {number: [] for number in given.workers}
    loop = asyncio.new_event_loop()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wayside-ingest-")))
        folder.chmod(0o755)
        (folder / "broker").mkdir()
        (folder / "pg").mkdir()
        server = Postgres.start(folder / "pg", None, **SYNCED)
        stack.callback(server.close)
        url = server.create()
        (folder / "broker" / brokers.USERS).write_text(json.dumps(users))
        broker = loop.run_until_complete(brokers.start_own("mosquitto", folder / "broker", 0))
        stack.callback(lambda: loop.run_until_complete(broker.stop()))
        for turn in range(given.rounds):
            for number in given.workers:
                settings = Settings(folder / "central", broker.centre.url, url, number)
                runs[number].append(measure(settings, broker, server, users, given))
                say(f"round {turn + 1}, {number} workers: {runs[number][-1]}")
    rows = {}
    for number, each in runs.items():
        middle = sorted(each, key=lambda r: r["per_s"])[len(each) // 2]
        rows[str(number)] = middle | {"per_s": statistics.median(r["per_s"] for r in each)}
    answer: dict[str, Any] = {"size": given.size, "nodes": given.nodes, "cores": os.cpu_count(), "rows": rows}
    if "1" in rows and "2" in rows:
        answer["ratio"] = round(rows["2"]["per_s"] / rows["1"]["per_s"], 2)
        answer["possible"] = round(possible(rows["2"]["cpu_us"], os.cpu_count() or 1), 2)
    return answer


def main() -> int:
    """Parse, run, print one JSON line."""
    made = parser("Frames per second that several ingest processes make durable.", images=False)
    made.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="numbers of processes")
    made.add_argument("--nodes", type=int, default=16)
    made.add_argument("--seconds", type=float, default=8.0, help="of each run")
    made.add_argument("--rounds", type=int, default=2)
    made.add_argument("--size", type=int, default=60_000, help="bytes of a frame")
    try:
        answer = run(made.parse_args())
    except (brokers.BrokerError, MissingError, OSError) as error:
        say(f"ingest: {error}")
        return 2
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
