"""Nodes that come back all at once: a Mosquitto with client certificates is killed and started again, again and again.

python -m tests.faults.storm [--nodes 300] [--restarts 5] [--down 1] [--base 4] [--no-jitter]      the long set

Each node waits between attempts as a real one does (`edge.link.Backoff`, begun anew after a steady connection), and
shows a certificate of its own. What is measured: how long until all are back, how long a handshake (TCP and TLS) takes,
and which share of the nodes wants to connect in the busiest tenth of a second.

Without jitter (the planted bug) every node waits the same time, so all of them knock in the same moment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.link import BACKOFF_BASE_S, STEADY_S, Backoff, LinkError, Will
from edge.swarm.mqtt import Client, Login, Server
from protocols import codec, topics
from protocols.messages import Status
from tests.faults.mosquitto import PREFIX, Mosquitto

BACK_S: Final = 30.0
"""Within which all must be back."""
SLOT_S: Final = 0.1
"""Knocks are counted by tenths of a second."""


class Steady(random.Random):
    """The planted bug: no jitter."""

    def uniform(self, a: float, b: float) -> float:
        """Return the bound."""
        return b


@dataclass
class Figures:
    """What came of a storm."""

    seed: int
    nodes: int
    back_s: list[float] = field(default_factory=list)
    """By restart: until the last node was back, seconds from when the broker listened again."""
    handshake_s: list[float] = field(default_factory=list)
    knocks: list[float] = field(default_factory=list)
    """When nodes meant to connect, monotonic seconds, since the last kill."""
    peaks: list[float] = field(default_factory=list)
    """By restart: share of the nodes that knocked in the busiest tenth of a second."""

    @property
    def p99_s(self) -> float:
        """99th percentile of the handshakes after the restarts, seconds."""
        ordered = sorted(self.handshake_s)
        return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]

    def json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            "seed": self.seed, "nodes": self.nodes, "restarts": len(self.back_s),
            "back_s": [round(s, 2) for s in self.back_s], "handshakes": len(self.handshake_s),
            "handshake_p50_ms": round(1000 * sorted(self.handshake_s)[len(self.handshake_s) // 2], 1),
            "handshake_p99_ms": round(1000 * self.p99_s, 1), "peak_share": [round(p, 3) for p in self.peaks],
        }  # fmt: skip


class _Timed(Client):
    """Notes when the handshake was over."""

    made = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the time."""
        self.made = time.monotonic()
        super().connection_made(transport)


class Node:
    """One node: connects, is lost, waits, connects again."""

    def __init__(self, name: str, broker: Mosquitto, figures: Figures, backoff: Backoff, steady_s: float) -> None:
        self.name, self.up = name, False
        self._figures, self._steady_s, self._backoff = figures, steady_s, backoff
        file = broker.certificate(name)
        context = ssl.create_default_context(cafile=str(file))
        context.load_cert_chain(file)
        self._server = Server("localhost", broker.port, context)
        topic = topics.build(PREFIX, name, "status")
        self._will = Will(topic, codec.encode("status", Status(state="offline", node=name, boot="b")))

    async def run(self) -> None:
        """Live until cancelled."""
        while True:
            began = time.monotonic()
            await self._live()
            self.up = False
            if time.monotonic() - began >= self._steady_s:
                self._backoff.reset()
            delay = self._backoff.next()
            self._figures.knocks.append(time.monotonic() + delay)
            await asyncio.sleep(delay)

    async def _live(self) -> None:
        lost = asyncio.Event()
        client = _Timed(lambda _t, _p: None, lambda _reason: lost.set(), lambda: None)
        began = time.monotonic()
        try:
            filters = topics.subscriptions(PREFIX, "node", self.name)
            await client.open(self._server, Login(self.name), self._will, filters)
        except LinkError:
            return
        self._figures.handshake_s.append(client.made - began)
        self.up = True
        try:
            await lost.wait()
        finally:
            client.drop()


async def _all_up(nodes: list[Node], seconds: float) -> float:
    """Wait until every node is up and return how long that took; at most `seconds`."""
    began = time.monotonic()
    while not all(node.up for node in nodes) and time.monotonic() - began < seconds:
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def peak(knocks: list[float], nodes: int) -> float:
    """Return the share of `nodes` that knocks in the busiest slot; each node's knocks in one slot count once at most
    because it waits for the answer in between."""
    return max(Counter(int(k / SLOT_S) for k in knocks).values(), default=0) / nodes


async def storm(
    broker: Mosquitto, count: int, restarts: int, seed: int, *, jitter: bool = True, steady_s: float = STEADY_S,
    down_s: float = 1.0, base_s: float = BACKOFF_BASE_S, tell: Callable[[str], None] = lambda _: None,
) -> Figures:  # fmt: skip
    """Connect `count` nodes, kill and restart `broker` (which runs) `restarts` times, and return the figures."""
    figures, draw = Figures(seed, count), random.Random(seed)

    def chance() -> random.Random:
        return random.Random(draw.random())

    nodes = [
        Node(f"n{i}", broker, figures, Backoff(base_s, draw=chance() if jitter else Steady()), steady_s)
        for i in range(count)
    ]
    tasks = []
    for i, node in enumerate(nodes):  # a calm start: it is the coming back that is looked at
        tasks.append(asyncio.create_task(node.run()))
        if i % 10 == 9:
            await asyncio.sleep(0.1)
    took = await _all_up(nodes, BACK_S)
    tell(f"{sum(n.up for n in nodes)} nodes up after {took:.1f} s")
    figures.handshake_s.clear()
    for number in range(restarts):
        await asyncio.sleep(steady_s + 0.1)
        figures.knocks.clear()
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(broker.start)
        figures.back_s.append(await _all_up(nodes, BACK_S + 1))
        figures.peaks.append(peak(figures.knocks, count))
        tell(f"restart {number + 1}: all back after {figures.back_s[-1]:.1f} s, peak {figures.peaks[-1]:.2f}")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return figures


def main() -> int:
    """Run the long set. Returns the exit status: 1 where a node was not back in time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--down", type=float, default=1.0, help="seconds that the broker is away")
    parser.add_argument("--base", type=float, default=BACKOFF_BASE_S, help="bound of the first wait, seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--no-jitter", action="store_true", help="the planted bug")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wayside-storm-") as folder:
        broker = Mosquitto(Path(folder)).start()
        try:
            figures = asyncio.run(
                storm(
                    broker, options.nodes, options.restarts, options.seed, jitter=not options.no_jitter,
                    down_s=options.down, base_s=options.base,
                    tell=lambda text: print(text, file=sys.stderr, flush=True),
                )
            )
        finally:
            broker.stop()
    print(json.dumps(figures.json()))
    return 0 if max(figures.back_s) <= BACK_S else 1


if __name__ == "__main__":
    sys.exit(main())
