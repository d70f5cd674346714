"""A node, a broker without persistence and a centre under load, and a hand that kills them at random.

    python -m tests.faults.kills --kills 200 --frames 20000 [--replay 3] [--seed N] --json

Every kill waits until frames move again after the one before, so that it hits a system at work. At the end the node
stops making frames, everything drains, and the oracle accounts for each of them. Exit status 1 where one is missing,
there twice, or not whole.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from central.broker import find_mosquitto
from central.embedded import CENTRE
from tests.faults import oracle
from tests.faults.oracle import Account
from tests.faults.sender import NAME
from tests.system import rig
from tests.system.rig import until

VICTIMS = ("node", "broker", "centre")
BOTH = 0.15
"""Share of the kills that take two at once."""
PAUSE_S = (0.0, 0.6)
"""Between frames moving again and the next kill."""
MOVES_S = 120.0
"""Generous, as machines that test are busy."""
DRAIN_S = 180.0


@dataclass(frozen=True)
class Plan:
    """What to run, and which bug to plant."""

    rate: float = 60.0
    quota: int = 100_000
    replay: int = 1
    node_bug: str = ""
    centre_bug: str = ""
    clock: str = ""
    poison: int = -1
    timeout: float = 1.0
    """Seconds that the node waits for a receipt."""


def mosquitto(folder: Path, port: int) -> rig.Process:
    """Start a Mosquitto that lets everybody in and keeps nothing."""
    config = folder / "mosquitto.conf"
    lines = (f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", "log_dest none", "user root")
    config.write_text("\n".join(lines) + "\n")
    return rig.Process([find_mosquitto() or "mosquitto", "-c", str(config)], folder / "broker.log")


class World:
    """The three processes."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan, self.port = folder, plan, rig.free_port()
        self.node_folder, self.centre_folder = folder / NAME, folder / "central"
        for each in (self.node_folder, self.centre_folder, folder / "broker"):
            each.mkdir(parents=True)
        self.running: dict[str, rig.Process] = {}
        for each in ("broker", "centre", "node"):
            self.start(each)

    def start(self, what: str) -> None:
        """Start one of the three."""
        plan, python = self.plan, [sys.executable, "-m"]
        if what == "broker" and find_mosquitto():
            process = mosquitto(self.folder / "broker", self.port)
        elif what == "broker":
            users = dict.fromkeys((CENTRE, NAME), rig.NODE_PASSWORD)
            process = rig.embedded_broker(self.folder / "broker", self.port, users)
        elif what == "centre":
            url = f"mqtt://%40centre:{rig.NODE_PASSWORD}@127.0.0.1:{self.port}"
            line = [*python, "tests.faults.centre", str(self.centre_folder), url]
            line += ["--bug", plan.centre_bug] if plan.centre_bug else []
            process = rig.Process(line, self.folder / "centre.log")
        else:
            line = [*python, "tests.faults.sender", str(self.node_folder), str(self.port), rig.NODE_PASSWORD]
            line += ["--rate", str(plan.rate), "--quota", str(plan.quota), "--replay", str(plan.replay)]
            line += ["--poison", str(plan.poison), "--timeout", str(plan.timeout)]
            line += ["--clock", plan.clock] if plan.clock else []
            process = rig.Process([*line, "--bug", plan.node_bug], self.folder / "node.log")
        self.running[what] = process

    def kill(self, *victims: str) -> None:
        """Kill and start again."""
        for what in victims:
            self.running[what].kill()
        for what in victims:
            self.start(what)

    def account(self) -> Account:
        """Return what became of every frame so far."""
        return oracle.account(self.node_folder, self.centre_folder)

    def count(self) -> int:
        """Return how many frames are stored."""
        return len(oracle.stored(self.centre_folder))

    def moves(self) -> None:
        """Wait until a further frame is stored."""
        before = self.count()
        until(lambda: self.count() > before, f"frames do not move: {self.said()}", MOVES_S)

    def drain(self) -> Account:
        """Let the node stop making frames, wait until its spool is empty, and return the account."""
        (self.node_folder / "enough").touch()
        over = self.running["node"].popen
        until(lambda: over.poll() is not None, f"the spool does not become empty: {self.said()}", DRAIN_S)
        return self.account()

    def said(self) -> str:
        """Return the last words of all."""
        logs = (self.folder / f"{name}.log" for name in ("centre", "node"))
        return " | ".join(log.read_text(errors="replace")[-500:] for log in logs if log.exists())

    def close(self) -> None:
        """End everything."""
        for process in self.running.values():
            process.kill()


def torment(world: World, kills: int, draw: random.Random, frames: int = 0) -> None:
    """Kill `kills` times, and go on until the node accepted `frames`."""
    for number in range(kills):
        world.moves()
        time.sleep(draw.uniform(*PAUSE_S))
        victims = draw.sample(VICTIMS, 2 if draw.random() < BOTH else 1)
        print(f"kill {number + 1} of {kills}: {' and '.join(victims)}", file=sys.stderr, flush=True)
        world.kill(*victims)
    until(lambda: len(oracle.journal(world.node_folder)[0]) >= frames, "too few frames are made", 3600)


def main() -> int:
    """Run the long set and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=60.0)
    parser.add_argument("--quota", type=int, default=400, help="frames that fit into the node's spool")
    parser.add_argument("--replay", type=int, default=3, help="times that each frame is sent")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    print("seed", given.seed, file=sys.stderr, flush=True)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="wayside-kills-"))
    print("folder", folder, "stays where this fails", file=sys.stderr, flush=True)
    world = World(folder, Plan(given.rate, given.quota, given.replay))
    try:
        torment(world, given.kills, random.Random(given.seed), given.frames)
        account = world.drain()
        broken = oracle.broken_images(world.centre_folder, account.rows)
    finally:
        world.close()
    answer: dict[str, Any] = {
        "seed": given.seed, "kills": given.kills, "replay": given.replay, "accepted": len(account.accepted),
        "stored": len(account.rows), "given_up": len(account.given_up), "missing": len(account.missing),
        "doubled": len(account.doubled), "broken": len(broken), "seconds": round(time.monotonic() - began),
    }  # fmt: skip
    answer["ok"] = not (account.missing or account.doubled or broken)
    if answer["ok"]:
        shutil.rmtree(folder)
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
