"""How many frames per second reach the centre's disk, beside what the bare broker moves in the same run.

    python -m benchmarks.link [--nodes 8] [--seconds 6] [--rounds 3] [--size 60000] [--workers 1] --json

bare      one paho publisher and one paho subscriber at QoS 1, each in a process of its own, through the same broker;
          counted at the subscriber
durable   `--nodes` simulated nodes, as fast as receipts come, into a real centre: verified, stored, fsynced, committed,
          and the receipt back at the node

Both are measured in turn, `--rounds` times; the medians count. `ratio` is durable over bare through Mosquitto (the
embedded broker where there is none); `embedded` has the same figures through the embedded broker.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import queue
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from central import broker as brokers
from central import service
from central.embedded import CENTRE
from central.link import BrokerAddress
from edge.commands.swarm import swarm
from edge.mqtt import Broker
from edge.swarm.node import Traffic
from edge.swarm.run import Plan
from protocols.topics import DEFAULT_PREFIX, build

INFLIGHT = 64
"""QoS 1 messages under way of the bare publisher: as many as keep it busy all the time."""
WARM_S = 1.0
SPAWN = multiprocessing.get_context("spawn")
"""What is measured must not inherit threads of what measures."""


@dataclass(frozen=True)
class Settings:
    """Those of a centre without a face."""

    data: Path
    broker_url: str
    broker_port: int = 0
    database_url: None = None
    blob_url: None = None
    prefix: str = DEFAULT_PREFIX
    ingest_workers: int = 1


def client(address: BrokerAddress) -> paho.Client:
    """Return a paho client logged in at `address`, with its network thread running."""
    made = paho.Client(CallbackAPIVersion.VERSION2)
    made.username_pw_set(address.username, address.password)
    made.max_inflight_messages_set(INFLIGHT)
    return made


def publish(address: BrokerAddress, topic: str, size: int, seconds: float) -> None:
    """Publish as fast as the broker acknowledges, for `seconds`."""
    room = threading.Semaphore(INFLIGHT)
    made = client(address)
    made.on_publish = lambda *_: room.release()
    made.connect(address.host, address.port)
    made.loop_start()
    payload, end = secrets.token_bytes(size), time.monotonic() + seconds
    while time.monotonic() < end:
        if room.acquire(timeout=0.1):
            made.publish(topic, payload, qos=1)
    made.disconnect()
    made.loop_stop()


def subscribe(address: BrokerAddress, topic: str, seconds: float, results: Any) -> None:
    """Subscribe, say whether that was granted, and count what arrives within `seconds` after the warm-up."""
    times: list[float] = []
    made = client(address)
    made.on_message = lambda *_: times.append(time.monotonic())
    made.on_subscribe = lambda _c, _u, _m, codes, _p: results.put(not any(code.is_failure for code in codes))
    made.on_connect = lambda c, *_: c.subscribe(topic, 1)
    made.connect(address.host, address.port)
    made.loop_start()
    deadline = time.monotonic() + seconds + 20
    while not times and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(WARM_S + seconds)
    begin = times[0] + WARM_S if times else 0.0
    results.put(sum(begin <= at < begin + seconds for at in times) / seconds)
    made.disconnect()
    made.loop_stop()


def bare(node: BrokerAddress, centre: BrokerAddress, size: int, seconds: float) -> float:
    """Return messages per second from a bare publisher to a bare subscriber."""
    topic, results = build(DEFAULT_PREFIX, node.username, "frames"), SPAWN.Queue()
    # The filter that the centre uses: a broker with access rules grants no other.
    listener = SPAWN.Process(target=subscribe, args=(centre, f"{DEFAULT_PREFIX}/+/frames", seconds, results))
    sender = SPAWN.Process(target=publish, args=(node, topic, size, seconds + WARM_S + 0.5))
    listener.start()
    try:
        if not results.get(timeout=20):
            raise OSError("the broker refused the bare subscription")
        sender.start()
        rate = float(results.get(timeout=seconds + 60))
        if not rate:
            raise OSError("nothing came through the broker to the bare subscriber")
        return rate
    except queue.Empty:
        raise OSError("the bare subscriber got nothing") from None
    finally:
        for process in (listener, sender):
            if process.pid is not None:
                process.join(10)
                process.kill()


def centre(data: Path, url: str, workers: int, results: Any, plant: Callable[[], None] | None) -> None:
    """Be a centre until killed, with a bug where `plant` plants one."""
    if plant is not None:
        plant()

    async def serve() -> None:
        made = await service.start(Settings(data, url, ingest_workers=workers))
        await made.link.wait_connected(20)
        while made.workers is not None and len(made.workers.counters) < workers - 1:
            await asyncio.sleep(0.05)
        results.put("ready")
        await asyncio.sleep(3600)

    asyncio.run(serve())


@contextmanager
def serving(
    data: Path, url: str, workers: int = 1, plant: Callable[[], None] | None = None
) -> Iterator[int]:  # fmt: skip
    """A centre in a process of its own, whose number this is."""
    results = SPAWN.Queue()
    process = SPAWN.Process(target=centre, args=(data, url, workers, results, plant))
    process.start()
    try:
        results.get(timeout=60)
        assert process.pid is not None
        yield process.pid
    finally:
        process.kill()
        process.join(10)


def durable(address: BrokerAddress, users: dict[str, str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the swarm's figures."""
    traffic = Traffic(0, 0.0, arguments.size, dropouts_per_hour=0.0)
    plan = Plan(arguments.nodes, traffic, arguments.seconds, 30.0)
    return swarm(plan, Broker(address.host, address.port), DEFAULT_PREFIX, lambda _: None, users)


def rates(kind: brokers.Kind, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the figures through one kind of broker."""
    names = [f"sim-{i:04d}" for i in range(arguments.nodes)]
    users = {name: secrets.token_hex(16) for name in (CENTRE, *names)}
    # The embedded broker cannot share the frames out.
    workers = arguments.workers if kind == "mosquitto" else 1
    own = folder / "broker"
    own.mkdir(parents=True)
    (own / brokers.USERS).write_text(json.dumps(users))
    loop = asyncio.new_event_loop()
    broker = loop.run_until_complete(brokers.start_own(kind, own, 0))
    try:
        address = broker.centre
        node = BrokerAddress(address.host, address.port, names[0], users[names[0]])
        plain, through, medians = [], [], []
        with serving(folder / "central", address.url, workers):
            durable(address, users, argparse.Namespace(**{**vars(arguments), "seconds": 1.0}))
        for _ in range(arguments.rounds):
            plain.append(bare(node, address, arguments.size, arguments.seconds))
            with serving(folder / "central", address.url, workers):
                figures = durable(address, users, arguments)
            if not figures["ok"]:
                raise OSError(f"{figures['missing']} frames have no receipt")
            through.append(figures["receipted"] / figures["seconds"])
            medians.append(figures["p50_ms"])
            print(f"{kind}: bare {plain[-1]:.0f}/s, durable {through[-1]:.0f}/s", file=sys.stderr, flush=True)
    finally:
        loop.run_until_complete(broker.stop())
        loop.close()
    ratio = statistics.median(d / b for d, b in zip(through, plain, strict=True))
    return {
        "ratio": round(ratio, 3), "durable_per_s": round(statistics.median(through), 1),
        "bare_per_s": round(statistics.median(plain), 1), "p50_ms": statistics.median(medians),
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures through every broker that is here."""
    with tempfile.TemporaryDirectory(prefix="wayside-link-") as folder:
        found = brokers.find_mosquitto() is not None
        kinds: list[brokers.Kind] = ["mosquitto", "embedded"] if found else ["embedded"]
        chosen = kinds[: 1 if arguments.quick else 2]
        made: dict[str, Any] = {kind: rates(kind, arguments, Path(folder) / kind) for kind in chosen}
    first = made[kinds[0]]
    return {"broker": kinds[0], "size": arguments.size, "nodes": arguments.nodes, **first, **made}


def main() -> int:
    """Parse, run, print one JSON line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--nodes", type=int, default=8)
    made.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--size", type=int, default=60_000, help="bytes of a frame")
    made.add_argument("--workers", type=int, default=1, help="processes of the centre that take frames in")
    made.add_argument("--quick", action="store_true", help="only the first broker")
    made.add_argument("--json", action="store_true", help="nothing but the JSON line on standard output")
    try:
        answer = run(made.parse_args())
    except (brokers.BrokerError, OSError) as error:
        print(f"link: {error}", file=sys.stderr)
        return 2
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
