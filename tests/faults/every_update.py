"""Kill an update before each of its system calls that change a file, and cut the power behind each (P7, P9, P11, P13).

    python -m tests.faults.every_update FOLDER [--what WHAT] [--every 1 --first 0] [--bug NAME]

kill      after each death the node starts with the old pack or the new one, whole; going on leads to the new one
probe     the same with a pack that fails on the node's own first frames: no life ever says that it succeeded
forever   the node dies at the same call of each life: the update has ended after five starts at most
power     every state that a power cut may leave: the old pack or the new one, and going on leads to the new one
floor     kills and power cuts around what a node trusts: the floor never falls, and nothing older is approved

Prints one JSON line; exit status 1 where something is wrong, 77 where processes may not be traced.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from edge.update import pointer
from edge.update.journal import MAX_STARTS, Journal
from protocols.trust import FOLDER as TRUST
from protocols.trust import TrustError
from protocols.trust.verify import FLOOR, MissingError, Verifier
from tests.faults import tracer
from tests.faults.powercut import Content, Names, Recorder, State, states
from tests.faults.updates import BUGS, Centre, Life, look, prepare

LIMIT = 24
"""States of the disk after one operation; beyond it they are drawn."""
MOST = 3000
"""Calls, far beyond what an update needs; one that does not end is found."""


class Run:
    """A node to be killed: `clean` is copied to `work` before each attempt."""

    def __init__(self, folder: Path, name: str = "new") -> None:
        self.centre, self.clean, self.first, self.second = prepare(folder, name)
        self.work, self.folder = folder / "work", folder
        self.wrong: list[str] = []
        self.lives = 0

    def fresh(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.clean, self.work)

    def live(self) -> None:
        """One life, in this process; what it said lies beside the data."""
        life = Life(self.work, self.centre)
        try:
            life.install(self.second)
        finally:
            said = self.folder / f"said-{self.lives}"
            said.write_text(json.dumps([[u.step, u.reason] for u in life.updates]))

    def killed(self, point: int) -> tuple[int, bool]:
        self.lives += 1
        return tracer.run(self.live, self.work, point)

    def complain(self, point: int, problems: list[str]) -> None:
        self.wrong += [f"call {point}: {problem}" for problem in problems]

    def went_on(self) -> str:
        """Let the node live undisturbed; return how its update ended."""
        self.lives += 1
        if tracer.plain(self.live) != 0:
            return "the next life failed"
        done = Journal(self.work).state.finished
        return done.step if done is not None else "nothing"


def points(every: int, first: int) -> range:
    return range(first, MOST, every)


def kill(folder: Path, every: int, first: int) -> dict[str, Any]:
    """A good pack: old or new, whole, and new in the end."""
    run = Run(folder)
    for point in points(every, first):
        run.fresh()
        seen, killed = run.killed(point)
        run.complain(point, look(run.work, run.centre, (run.first, run.second)))
        if (end := run.went_on()) != "committed":
            run.complain(point, [f"it ended as {end}"])
        names = {pointer.read(run.work, n) for n in (pointer.CURRENT, pointer.PREVIOUS)}
        if names != {run.first.pack, run.second.pack} or look(run.work, run.centre, [run.second]):
            run.complain(point, ["not the new pack, with the old one to go back to"])
        if not killed:
            return {"calls": seen, "points": (point - first) // every, "wrong": run.wrong}
    return {"calls": MOST, "wrong": ["the update does not end"]}


def probe(folder: Path, every: int, first: int) -> dict[str, Any]:
    """A pack that fails when the node uses it: nobody may ever say that it succeeded."""
    run = Run(folder, "bad")
    for point in points(every, first):
        run.fresh()
        seen, killed = run.killed(point)
        run.complain(point, look(run.work, run.centre, (run.first, run.second)))
        end = run.went_on()
        said = json.loads((run.folder / f"said-{run.lives}").read_text())
        if end != "rolled-back" or any(step == "committed" for step, _ in said):
            run.complain(point, [f"it ended as {end}: false success"])
        if pointer.read(run.work, pointer.CURRENT) != run.first.pack:
            run.complain(point, ["the old pack is not back"])
        if not killed:
            return {"calls": seen, "points": (point - first) // every, "wrong": run.wrong}
    return {"calls": MOST, "wrong": ["the update does not end"]}


def forever(folder: Path, every: int, first: int) -> dict[str, Any]:
    """Death at the same call of each life: an update that began ends within five starts."""
    run, most = Run(folder), 0
    for point in points(every, first):
        run.fresh()
        starts, seen = 0, 0
        while starts < MAX_STARTS:
            starts += 1
            seen, killed = run.killed(point)
            if not killed:
                break
        state = Journal(run.work).state
        most = max(most, starts)
        run.complain(point, look(run.work, run.centre, (run.first, run.second)))
        if state.active is not None:
            run.complain(point, [f"not ended after {starts} starts, at {state.active.step}"])
        if starts == 1:
            return {"calls": seen, "points": (point - first) // every, "starts": most, "wrong": run.wrong}
    return {"calls": MOST, "wrong": ["the update does not end"]}


def _states(record: Callable[[Recorder], None], root: Path, seed: int) -> Iterator[State]:
    """Every state of the disk while `record` runs; what was there before it is durable."""
    with Recorder(root) as recorder:
        there = (operation for operation in recorder.trace if isinstance(operation, Names | Content))
        recorder.trace = [replace(operation, durable=True) for operation in there]
        begun = len(recorder.trace)
        record(recorder)
    return (state for state in states(recorder, random.Random(seed), LIMIT) if state.point > begun)


def power(folder: Path, every: int, first: int) -> dict[str, Any]:
    """Every state of the disk after a cut; `every`: only each so many is looked at."""
    run = Run(folder)
    run.fresh()
    count, seed = 0, random.randrange(2**32)

    def record(recorder: Recorder) -> None:
        life = Life(run.work, run.centre)
        life.updater._report = lambda update: recorder.mark("said", update.step)
        life.install(run.second)

    for number, state in enumerate(_states(record, run.work, seed)):
        if number % every != first % every:
            continue
        count += 1
        run.complain(number, after_cut(run, state))
    return {"seed": seed, "points": count, "wrong": run.wrong}


def after_cut(run: Run, state: State) -> list[str]:
    """Return what is wrong with `state`."""
    shutil.rmtree(run.work, ignore_errors=True)
    state.build(run.work)
    problems = look(run.work, run.centre, (run.first, run.second))
    if "committed" in state.promised("said") and pointer.read(run.work, pointer.CURRENT) != run.second.pack:
        problems.append("success was told, and is gone")
    if problems:
        return problems
    run.live()
    done = Journal(run.work).state.finished
    if done is None or (done.number, done.step) != (2, "committed"):
        problems.append("it does not go on to the new pack")
    return problems


class Reader:
    """The centre's small files, and, when told, those of an earlier time."""

    def __init__(self, centre: Centre) -> None:
        self.centre, self.old = centre, centre.folder / "earlier"
        self.lies = False

    def read(self, name: str, limit: int) -> bytes:
        """Return a file."""
        path = self.old / name.partition("/")[2]
        data = (path.read_bytes() if path.exists() else None) if self.lies else self.centre.signed(name)
        if data is None:
            raise MissingError(name)
        return data


def floor(folder: Path, every: int, first: int) -> dict[str, Any]:
    """Around what a node trusts: kills, power cuts, and metadata of an old backup beside the floor of now."""
    run = Run(folder)
    shutil.copytree(run.centre.folder / "trust", run.centre.folder / "earlier")
    run.centre.now += timedelta(hours=1)
    third = run.centre.publish("third", 3)
    reader = Reader(run.centre)

    def trust() -> None:
        Verifier(run.work, run.centre.root, reader, lambda: run.centre.now).approve(third.pack, 3)
        (run.folder / "approved").touch()

    for point in points(every, first):
        run.fresh()
        (run.folder / "approved").unlink(missing_ok=True)
        seen, killed = tracer.run(trust, run.work, point)
        run.complain(point, _trusted(run, reader, (run.folder / "approved").exists()))
        if not killed:
            break
    run.fresh()
    seed, count = random.randrange(2**32), 0

    def record(recorder: Recorder) -> None:
        trust()
        recorder.mark("approved")

    for number, state in enumerate(_states(record, run.work, seed)):
        if number % every != first % every:
            continue
        count += 1
        shutil.rmtree(run.work, ignore_errors=True)
        state.build(run.work)
        run.complain(count, _trusted(run, reader, bool(state.promised("approved"))))
    return {"seed": seed, "calls": seen, "points": (point - first) // every, "states": count, "wrong": run.wrong}


def _trusted(run: Run, reader: Reader, approved: bool) -> list[str]:
    """Return what is wrong with what the node trusts, after it `approved` release 3 or died before that."""

    def accepts_old() -> bool:
        reader.lies = True
        try:
            Verifier(run.work, run.centre.root, reader, lambda: run.centre.now).approve(run.second.pack, 2)
        except TrustError:
            return False
        finally:
            reader.lies = False
        return True

    if not approved:
        return []
    problems = ["what is older is approved again"] if accepts_old() else []
    shutil.rmtree(run.work / TRUST / "metadata", ignore_errors=True)
    shutil.copytree(run.clean / TRUST / "metadata", run.work / TRUST / "metadata", symlinks=True)
    if accepts_old():
        problems.append(f"with metadata of an old backup, what is older is approved: {FLOOR} fell")
    return problems


WHAT = {"kill": kill, "probe": probe, "forever": forever, "power": power, "floor": floor}


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--what", choices=list(WHAT), action="append")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--bug", choices=list(BUGS))
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    answer: dict[str, Any] = {}
    for what in given.what or list(WHAT):
        place = given.folder / what
        place.mkdir(parents=True)
        began = time.monotonic()
        if given.bug:
            planted(given.bug)
        try:
            answer[what] = WHAT[what](place, given.every, given.first)
        except PermissionError as error:
            print(error, file=sys.stderr)
            return 77
        answer[what]["seconds"] = round(time.monotonic() - began, 1)
    answer["ok"] = not any(part["wrong"] for part in answer.values() if isinstance(part, dict))
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


def planted(bug: str) -> None:
    """Plant a bug in every life to come, but not in what prepares."""
    real = Run.__init__

    def init(self: Run, folder: Path, name: str = "new") -> None:
        real(self, folder, name)
        BUGS[bug]()

    Run.__init__ = init  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
