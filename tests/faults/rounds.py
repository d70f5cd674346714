"""Kill a round in each of its stages and go on with it: it ends with the very weights that nobody disturbed.

    python -m tests.faults.rounds FOLDER [--points training,export ...] [--bugs optimizer,labels ...]

Between death and going on somebody labels another frame, which is the next round's business. Prints one JSON line; exit
status 1 where something is wrong. Planted bugs, each killed while it trains, must be seen: ``optimizer`` (a checkpoint
without the optimizer), ``labels`` (a resumed round takes the labels of now), ``steps`` (training begins anew).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx
import torch

from central.learn.data import Example
from central.learn.detect.train import Run
from central.learn.round import learning, plan
from central.learn.round.run import run_round
from central.learn.start import LAST
from edge.runtime import modelfile
from export import checkpoint
from export.graph import weights_of
from protocols.pack import MODEL
from tests.central.learn.conftest import draw
from tests.central.learn.labelled import fill, packed, profile, smallest

ROUND: Final = "r0001"
STEPS: Final = 7


@dataclass(frozen=True)
class Point:
    """Where to die: at the `nth` call of ``module:name``, before it or behind it."""

    module: str
    name: str
    nth: int = 1
    behind: bool = False


POINTS: Final = {
    "plan": Point("central.learn.round.plan", "_made", behind=True),
    "snapshot": Point("central.learn.round.plan", "_opened"),
    "lesson": Point("central.learn.round.learning", "lesson", behind=True),
    "training": Point("central.learn.detect.train:Run", "_step", nth=6),
    "checkpoint": Point("protocols.files", "sync_folder", nth=4),
    "export": Point("central.learn.round.packing", "build"),
    "proof": Point("export.build:parity", "check"),
    "packed": Point("central.learn.round.packing", "export", behind=True),
    "evaluation": Point("central.learn.round.measuring", "measure", behind=True),
    "registering": Point("central.releases.registry", "_keep", behind=True),
    "registered": Point("central.learn.round.run", "hold"),
    "report": Point("central.learn.round.run", "_written"),
}


def owner(place: str) -> Any:
    """Return the module, or what it holds, at ``module`` or ``module:name``."""
    module, _, name = place.partition(":")
    found = importlib.import_module(module)
    return getattr(found, name) if name else found


def arm(point: Point) -> None:
    """Have this process die at `point`."""
    where = owner(point.module)
    real: Callable[..., Any] = getattr(where, point.name)
    calls = 0

    def deadly(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == point.nth and not point.behind:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*args, **more)
        if calls == point.nth and point.behind:
            if asyncio.iscoroutine(found):
                found.close()
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(where, point.name, deadly)


def plant(bug: str) -> None:
    """Break what going on needs."""
    whole = Run._resume

    def forgetful(self: Run) -> None:
        whole(self)
        if bug == "optimizer":
            state = self.optimizer.state_dict()
            self.optimizer.load_state_dict({**state, "state": {}})
        else:
            self.step = 0

    if bug == "labels":
        plan._read = lambda path: None
    elif bug:
        Run._resume = forgetful  # type: ignore[method-assign]


def apart(work: Callable[[], object]) -> int:
    """Do `work` in a process of its own and return how that ended; what it returns is in its file (see `answer`).

    This process itself only imports: what has threads (databases, blobs, networks) does not survive a fork.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # The boundary of a process: whatever it was, the other side must see that it did not end well.
    try:
        torch.set_num_threads(1)
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(9)


class Rounds:
    """A centre with labelled frames, copied for each attempt."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clean, self.work = folder, folder / "clean", folder / "work"
        folder.mkdir(parents=True)
        if apart(self._prepare):
            raise SystemExit(2)

    def _prepare(self) -> None:
        self.clean.mkdir()
        asyncio.run(fill(self.clean, self._drawn(0, 15)))
        packed(smallest(), self.folder / "first")
        profile(self.folder)

    def _drawn(self, first: int, last: int) -> list[Example]:
        (self.folder / "drawn").mkdir(exist_ok=True)
        return [draw(self.folder / "drawn" / f"{i}.jpg", i) for i in range(first, last)]

    def fresh(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.clean, self.work)

    def live(self, point: Point | None, bug: str) -> int:
        """Run the round, from where it is, and return how that ended."""

        def run() -> None:
            plant(bug)
            if point is not None:
                arm(point)
            given = {"epochs": 1, "profile": str(self.folder / "profile.yaml"), "pack": str(self.folder / "first")}
            done = run_round(self.work, ROUND, given, lambda step: None)
            (self.work / "done.json").write_text(json.dumps(done))

        return apart(run)

    def relabel(self) -> None:
        """Somebody labels another frame."""
        apart(lambda: asyncio.run(fill(self.work, self._drawn(15, 16), first=16)))

    def trained(self) -> dict[str, Any]:
        """Return a hash of the weights that it was trained to."""
        tensors, about = checkpoint.read(self.work / "rounds" / ROUND / "train" / LAST)
        digest = hashlib.sha256()
        for name in sorted(n for n in tensors if n.startswith("average.")):
            digest.update(name.encode() + tensors[name].numpy().tobytes())
        return {"trained": digest.hexdigest()[:16], "step": about["step"]}

    def outcome(self) -> dict[str, Any]:
        """Return what came of it: a hash of the weights, figures, and what is in the registry."""
        done = json.loads((self.work / "done.json").read_text())
        folder = self.work / "packs" / done["pack"]
        model = onnx.load_model_from_string(modelfile.read(folder / MODEL))
        digest = hashlib.sha256()
        for name, value in sorted(weights_of(model).items()):
            digest.update(name.encode() + value.tobytes())
        with closing(sqlite3.connect(self.work / "central.db")) as database:
            packs = database.execute("SELECT count(*) FROM pack").fetchone()[0]
            snapshots = database.execute("SELECT count(*) FROM snapshot").fetchone()[0]
        report = json.loads((self.work / "rounds" / ROUND / "report.json").read_text())
        return {
            "weights": digest.hexdigest()[:16], "ap50": done["ap50_after"], "held_back": done["held_back"],
            "packs": packs, "snapshots": snapshots, "snapshot": report["snapshot"][:16], "steps": report["steps"],
        }  # fmt: skip


EARLY: Final = ("plan", "snapshot", "lesson")
"""Points whose comparison ends with training: the export, a function of its checkpoint, takes most of a small round."""


def attempt(rounds: Rounds, name: str, bug: str) -> tuple[dict[str, Any] | None, str]:
    """Return what came of a round that was killed at a point and went on; None and why where it did not."""
    early = name in EARLY or bool(bug)
    rounds.fresh()
    died = rounds.live(POINTS[name], bug)
    if died != -signal.SIGKILL:
        return None, f"it was not killed there, but ended with {died}"
    if name != "plan":  # before that, the round has not begun
        rounds.relabel()
    ended = rounds.live(POINTS["export"] if early else None, bug)
    if ended != (-signal.SIGKILL if early else 0):
        return None, f"it did not go on: {ended}"
    return rounds.trained() if early else rounds.outcome(), ""


def main() -> int:
    """Run; see above."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("folder", type=Path)
    given.add_argument("--points", default=",".join(POINTS))
    given.add_argument("--bugs", default="")
    asked = given.parse_args()
    os.cpu_count = lambda: 1
    learning.MIN_STEPS, learning.MAX_STEPS, learning.BATCH, learning.SAVE_EVERY = STEPS, STEPS, 2, 2  # type: ignore[misc]
    rounds = Rounds(asked.folder)
    rounds.fresh()
    if rounds.live(None, ""):
        return 2
    wanted, early, wrong = rounds.outcome(), rounds.trained(), []
    for name in asked.points.split(","):
        found, why = attempt(rounds, name, "")
        if found != (early if name in EARLY else wanted):
            wrong.append({"point": name, "why": why, "found": found})
    bugs = [bug for bug in asked.bugs.split(",") if bug]
    seen = [bug for bug in bugs if attempt(rounds, "training", bug)[0] not in (None, early)]
    print(json.dumps({"wanted": wanted, "points": asked.points, "wrong": wrong, "bugs": bugs, "seen": seen}))
    return 1 if wrong or seen != bugs else 0


if __name__ == "__main__":
    sys.exit(main())
