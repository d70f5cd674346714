"""Link and centre at ten times the usual rate: memory and open files flat, every frame stored, nothing left over.

    python -m benchmarks.soak_link [--minutes 30] [--nodes 50] [--rate 0.1667] [--size 60000] [--bug leak] [--json]

Usual is a frame a minute and camera; here each node sends one every six seconds, vanishes three times an hour, and
twice in the run the centre stands still for a while, so that frames pile up at the nodes and have to drain. Exit status
1 where a frame has no receipt, or where the centre's memory or files grew by more than a tenth after the first fifth.
``--bug`` plants what it must find: a centre that keeps what it was sent (leak), a file open
for it (files), or both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.link import serving
from central import broker as brokers
from central.embedded import CENTRE
from central.ingest.consumer import Consumer
from central.ingest.frames import Checked, Stored
from edge.commands.swarm import swarm
from edge.mqtt import Broker
from edge.swarm.node import Traffic
from edge.swarm.run import Plan
from protocols.topics import DEFAULT_PREFIX

GROWTH = 0.10
FILES = 4
"""Open files that may come and go between two looks."""
STILL_SHARE = 0.05
"""Of the run, for each of the two times that the centre stands still; at most STILL_S."""
STILL_S = 30.0
AWAY_S = 30.0
"""That a node stays away on average; less in a short run."""
DRAIN_S = 120.0


def leak() -> None:
    """Plant the bug: what was received is never let go, nor are three copies of it."""
    kept: list[bytes] = []
    real = Consumer._count

    def count(self: Consumer, checked: Checked, stored: Stored) -> None:
        kept.extend(4 * received.payload for received in checked.received.values())
        real(self, checked, stored)

    Consumer._count = count  # type: ignore[method-assign]


def files() -> None:
    """Plant the bug: a file stays open for each batch."""
    real = Consumer._count

    def count(self: Consumer, checked: Checked, stored: Stored) -> None:
        os.open(os.devnull, os.O_RDONLY)
        real(self, checked, stored)

    Consumer._count = count  # type: ignore[method-assign]


def both() -> None:
    """Plant both bugs."""
    leak()
    files()


BUGS = {"leak": leak, "files": files, "both": both}


def stand_still(pid: int, run_s: float, seconds: float) -> None:
    """Stop process `pid` for `seconds`, twice within the run that begins now and takes `run_s`."""
    for _ in range(2):
        time.sleep(run_s / 3)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(pid, signal.SIGCONT)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    names = [f"sim-{i:04d}" for i in range(arguments.nodes)]
    users = {name: secrets.token_hex(16) for name in (CENTRE, *names)}
    seconds = arguments.minutes * 60
    with tempfile.TemporaryDirectory(prefix="wayside-soak-") as scratch:
        own = Path(scratch) / "broker"
        own.mkdir()
        (own / brokers.USERS).write_text(json.dumps(users))
        loop = asyncio.new_event_loop()
        kind: brokers.Kind = "mosquitto" if brokers.find_mosquitto() else "embedded"
        broker = loop.run_until_complete(brokers.start_own(kind, own, 0))
        try:
            bug = BUGS.get(arguments.bug)
            with serving(Path(scratch) / "central", broker.centre.url, plant=bug) as pid:
                still = min(STILL_S, STILL_SHARE * seconds)
                threading.Thread(target=stand_still, args=(pid, seconds, still), daemon=True).start()
                away = min(AWAY_S, seconds / 20)
                traffic = Traffic(0, arguments.rate, arguments.size, dropouts_per_hour=3.0, away_s=away)
                plan = Plan(arguments.nodes, traffic, seconds, DRAIN_S, seed=arguments.seed, centre_pid=pid)
                at = Broker(broker.centre.host, broker.centre.port)
                figures = swarm(plan, at, DEFAULT_PREFIX, lambda line: print(line, file=sys.stderr, flush=True), users)
        finally:
            loop.run_until_complete(broker.stop())
            loop.close()
    before, after = figures["centre_files"]
    flat = figures["centre_growth"] <= arguments.growth and after <= before + FILES
    return {
        **figures, "minutes": arguments.minutes, "broker": kind, "spool": figures["missing"], "flat": flat,
        "ok": bool(figures["ok"] and flat),
    }  # fmt: skip


def main() -> int:
    """Parse, run, print one JSON line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--minutes", type=float, default=30.0)
    made.add_argument("--nodes", type=int, default=50)
    made.add_argument("--rate", type=float, default=10 / 60, help="frames per second of each node")
    made.add_argument("--size", type=int, default=60_000, help="bytes of a frame")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--growth", type=float, default=GROWTH, help="share that memory may grow")
    made.add_argument("--bug", choices=list(BUGS), default="")
    made.add_argument("--json", action="store_true", help="nothing but the JSON line on standard output")
    try:
        answer = run(made.parse_args())
    except (brokers.BrokerError, OSError) as error:
        print(f"soak_link: {error}", file=sys.stderr)
        return 2
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
