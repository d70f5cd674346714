"""A centre on engines of others, under load, and a hand that kills them in turn.

    sender -> Mosquitto (nothing kept) -> centre and a second ingest process -> PostgreSQL, S3

    python -m tests.faults.engines --rounds 5 [--rate 40] [--seed N] --json

Each of `VICTIMS` is killed in each round, in an order that is drawn, once frames move; broker, database and store of
images stay away for a while and are started again, the ingest process is nobody's business but the centre's. Then
frames have to move again without a person. At the end everything drains, and the oracle accounts for each frame. Exit
status 1 where one is missing, there twice or not whole.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from central.store import blobs
from tests.faults import oracle
from tests.faults.kills import DRAIN_S, MOVES_S, mosquitto
from tests.faults.oracle import Account, Row
from tests.faults.sender import NAME
from tests.servers.postgres import MissingError, Postgres
from tests.servers.s3 import S3
from tests.system import rig
from tests.system.rig import until

VICTIMS: Final = ("worker", "database", "broker", "store")
AWAY_S: Final = (0.3, 2.0)
"""How long an engine stays away."""
WORKER: Final = "ingest.worker|faults.worker"
_ROWS: Final = "SELECT name, node, boot, sequence, sha256, blob FROM frame"


@dataclass(frozen=True)
class Plan:
    """What to run, and which bug to plant."""

    rate: float = 40.0
    quota: int = 100_000
    bug: str = ""


@dataclass
class Engines:
    """Database and store of images, which outlive the worlds on them."""

    database: Postgres
    store: S3

    @classmethod
    def start(cls) -> Engines:
        """Start both. Raises MissingError."""
        database = Postgres.start(fsync="on", full_page_writes="on")
        try:
            return cls(database, S3.start())
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """End both."""
        self.database.close()
        self.store.close()


@dataclass
class World:
    """The processes of one centre, and one sender. `back_s` is how long each victim's death was felt, seconds."""

    folder: Path
    engines: Engines
    plan: Plan
    back_s: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.url, self.bucket, self.port = self.engines.database.create(), self.engines.store.create(), rig.free_port()
        self.node_folder, self.centre_folder = self.folder / NAME, self.folder / "central"
        for each in (self.node_folder, self.centre_folder, self.folder / "broker"):
            each.mkdir(parents=True)
        python = [sys.executable, "-m"]
        self.broker = mosquitto(self.folder / "broker", self.port)
        line = [*python, "tests.faults.centre", str(self.centre_folder), f"mqtt://127.0.0.1:{self.port}"]
        line += ["--database", self.url, "--blobs", self.blob_url, "--workers", "2"]
        line += ["--bug", self.plan.bug] if self.plan.bug else []
        self.centre = rig.Process(line, self.folder / "centre.log", **self.engines.store.environment)
        line = [*python, "tests.faults.sender", str(self.node_folder), str(self.port), rig.NODE_PASSWORD]
        line += ["--rate", str(self.plan.rate), "--quota", str(self.plan.quota), "--timeout", "2"]
        self.sender = rig.Process(line, self.folder / "node.log")

    @property
    def blob_url(self) -> str:
        """Where the images are."""
        return self.engines.store.url(self.bucket)

    # --- looking -----------------------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """Return the frames that are stored; none where there is no table yet."""
        known = self.engines.database.run("SELECT to_regclass('frame') IS NOT NULL", self.url)[0][0]
        return [Row(*row) for row in self.engines.database.run(_ROWS, self.url)] if known else []

    def count(self) -> int:
        """Return how many frames are stored."""
        return len(self.rows())

    def workers(self) -> list[int]:
        """Return the ingest processes beside the centre's own."""
        lines = rig.children(self.centre.popen.pid)
        return [pid for pid, line in lines.items() if any(word in line for word in WORKER.split("|"))]

    def account(self) -> Account:
        """Return what became of every frame so far."""
        return oracle.account_of(self.node_folder, self.rows)

    def broken(self) -> list[str]:
        """Return the frames whose stored image is not the one that their row tells of."""
        before = {name: os.environ.get(name) for name in self.engines.store.environment}
        os.environ.update(self.engines.store.environment)
        try:
            return oracle.broken_in(blobs.connect(self.blob_url, self.folder), self.rows())
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def said(self) -> str:
        """Return the last words of all."""
        return " | ".join((self.folder / f"{n}.log").read_text(errors="replace")[-700:] for n in ("centre", "node"))

    # --- doing -------------------------------------------------------------------------------------------------------

    def moves(self) -> None:
        """Wait until a further frame is stored."""
        before = self.count()
        until(lambda: self.count() > before, f"frames do not move: {self.said()}", MOVES_S)

    def ready(self) -> None:
        """Wait until frames move and both ingest processes run."""
        self.moves()
        until(self.workers, "the second ingest process does not start", MOVES_S)

    def kill(self, victim: str, away_s: float = 0.0) -> None:
        """Kill `victim`, start it again after `away_s` seconds where nobody else does, and wait until frames move."""
        before = time.monotonic()
        if victim == "worker":
            dead = until(self.workers, "no ingest process to kill", MOVES_S)
            for pid in dead:
                os.kill(pid, signal.SIGKILL)
            until(lambda: set(self.workers()) - set(dead), f"nobody started it again: {self.said()}", MOVES_S)
        elif victim == "broker":
            self.broker.kill()
            time.sleep(away_s)
            self.broker = mosquitto(self.folder / "broker", self.port)
        else:
            engine = self.engines.database if victim == "database" else self.engines.store
            engine.kill()
            time.sleep(away_s)
            engine.restart()
        self.moves()
        self.back_s.setdefault(victim, []).append(round(time.monotonic() - before - away_s, 2))

    def drain(self) -> Account:
        """Let the sender stop making frames, wait until its spool is empty, and return the account."""
        (self.node_folder / "enough").touch()
        over = self.sender.popen
        until(lambda: over.poll() is not None, f"the spool does not become empty: {self.said()}", DRAIN_S)
        return self.account()

    def close(self) -> None:
        """End everything but the engines."""
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)
        for process in (self.sender, self.centre, self.broker):
            process.kill()


def torment(world: World, rounds: int, draw: random.Random) -> None:
    """Kill each victim once in each of `rounds`."""
    world.ready()
    for number in range(rounds):
        for victim in draw.sample(VICTIMS, len(VICTIMS)):
            world.kill(victim, draw.uniform(*AWAY_S))
            back = world.back_s[victim][-1]
            print(f"round {number + 1}: {victim}, frames move after {back} s", file=sys.stderr, flush=True)


def main() -> int:
    """Run the long set and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--quota", type=int, default=100_000, help="frames that fit into the node's spool")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    print("seed", given.seed, file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        engines = Engines.start()
    except MissingError as error:
        print(f"engines: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="wayside-engines-") as folder:
        world = World(Path(folder) / "world", engines, Plan(given.rate, given.quota))
        try:
            torment(world, given.rounds, random.Random(given.seed))
            account = world.drain()
            broken = world.broken()
        finally:
            world.close()
            engines.close()
    answer: dict[str, Any] = {
        "seed": given.seed, "rounds": given.rounds, "accepted": len(account.accepted), "stored": len(account.rows),
        "given_up": len(account.given_up), "missing": len(account.missing), "doubled": len(account.doubled),
        "broken": len(broken), "back_s": world.back_s, "seconds": round(time.monotonic() - began),
    }  # fmt: skip
    answer["ok"] = not (account.missing or account.doubled or broken)
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
