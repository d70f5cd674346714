"""A round from its plan to its report, and going on with one that was killed."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from central import settings
from central.jobs.rounds import LOCK
from central.jobs.scoring import cluster_cores
from central.learn import gates
from central.learn.gates import Verdict
from central.learn.round import RoundError, Tell, facts, learning, measuring, packing, scenes, verdicts
from central.learn.round.learning import SPAN, Trained
from central.learn.round.measuring import Measured
from central.learn.round.plan import Plan, changed_since, plan
from central.learn.round.report import render
from central.learn.round.report_mistakes import errors
from central.releases.compare import camera_metrics
from central.releases.registry import hold, register
from central.releases.shelf import report_key, share, share_file
from central.store import database as databases
from central.store.database import Database
from protocols import files
from protocols.pack import Pack

LOCK_S: Final = 10.0
"""Seconds to wait for a process that is just ending."""
REPORT: Final = "report.json"
PAGE: Final = "report.html"
GIVEN: Final = ("profile", "pack", "update_step", *(f"gate_{name}" for name in sorted(gates.gates())))
"""Settings that a server passes on as it has them."""
T = TypeVar("T")


@dataclass
class Stages:
    """How long each stage took in this process, seconds, and what is told of it."""

    tell: Tell
    spent: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def stage(self, name: str, state: str, progress: float, detail: str) -> Iterator[None]:
        """Tell that `name` begins, and note how long it took."""
        self.tell({"stage": name, "state": state, "progress": progress, "eta_s": None, "detail": detail})
        mark = time.monotonic()
        yield
        self.spent[f"{name}_s"] = time.monotonic() - mark


def run_round(data: Path, round_id: str, options: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Run the round `round_id` on the centre's folder `data`, from where it was killed if it was, and return what
    changed: pack, AP before and after, verdict.

    `options`: ``epochs`` (passes over the labelled frames), ``seed``, ``strategy`` (how it is kept from forgetting),
    ``memory_frames`` (most frames of the past), ``again`` (learn though nothing is new), ``start`` (auto, a pack or a
    checkpoint), ``update`` (what learns), and the settings GIVEN as the server has them set. Raises RoundError,
    SlotError, TrainingError and whatever the disk raises.
    """
    settled = settings.load(data=data, **{name: options.get(name) for name in GIVEN})
    folder = settled.data / "rounds" / round_id
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        return _run(settled, round_id, options, Stages(tell))


@contextlib.contextmanager
def alone(folder: Path, wait_s: float = LOCK_S) -> Iterator[None]:
    """Be the only process that works in the folder of a round. Raises RoundError where another one does."""
    with (folder / LOCK).open("w") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise RoundError(f"round {folder.name} runs in another process; wait for it") from None
                time.sleep(0.1)
        yield


def _run(settled: settings.Settings, round_id: str, options: Mapping[str, Any], stages: Stages) -> dict[str, Any]:
    begun = time.monotonic()
    with stages.stage("snapshot", "training", 0.0, "freezing a snapshot of the labels"):
        made = _with_database(settled, lambda db: plan(db, settled, round_id, options))
    with stages.stage("lesson", "training", 0.03, "putting together what it learns from"):
        lesson, held = learning.lesson(made)
    boxes = sum(int((e.weights > 0).sum()) for e in lesson.examples)
    notes = [*made.material.notes, *held]
    stages.tell(
        {"frames": len(made.frozen.items), "labels": boxes, "snapshot": made.frozen.address,
         "parent": made.parent.address}
    )  # fmt: skip
    line = f"training on {len(lesson.examples)} frames with {boxes} boxes" + "".join(f"; {n}" for n in notes)
    with stages.stage("training", "training", SPAN[0], line):
        workers = int(options.get("workers") or 1)
        together = workers > 1 and cluster_cores() > 0
        learn = partial(learning.train_together, workers=workers) if together else learning.train
        trained = learn(made, lesson, stages.tell)
    with stages.stage("export", "exporting", SPAN[1], "exporting and proving the pack"):
        pack = packing.export(made, trained.network, lesson.examples)
    with stages.stage("evaluation", "evaluating", 0.9, "comparing with the pack before, on held-back frames"):
        measured = measuring.measure(made, pack)
        limits = {n: v for n in gates.gates() if (v := getattr(settled, f"gate_{n}", None)) is not None}
        verdicts_ = gates.judge(measured.evidence, limits)
        told = scenes.judged(
            (made.running, made.today(made.running)), (pack, pack.manifest.tags), made.frozen.judging, made.images,
            made.labels, scenes.counted([*made.material.new, *made.material.past]),
        )  # fmt: skip
    notes += _with_database(settled, lambda db: changed_since(db, settled, made))
    notes += [f"{len(trained.skipped)} images could not be read, and were left out"] if trained.skipped else []
    found = verdicts.verdict(made, measured, verdicts_)
    with stages.stage("registration", "evaluating", 0.96, "taking the pack into the registry"):
        kept = _with_database(settled, lambda db: _registered(db, settled, pack, measured, found))
    result = _result(made, kept, measured, found, verdicts_) | {
        "strategy": made.strategy, "new_frames": len(made.material.new), "replayed": lesson.remembered,
        "guessed": lesson.guessed, "notes": notes, "update": made.update or lesson.train,
        "delta_bytes": measured.evidence.delta_bytes, **made.beginning,
    }  # fmt: skip
    with stages.stage("report", "evaluating", 0.98, "writing the report"):
        known = _with_database(settled, lambda db: facts.facts(db, made, round_id))
        report = _report(made, kept, measured, trained, known) | result
    total = time.monotonic() - begun
    report["stages"] = {**stages.spent, "total_s": total}
    report["tags"] = told
    report["overhead"] = 1 - stages.spent["training_s"] / total
    _written(made, measured, report)
    asyncio.run(share_file(settled.blob_url, report_key(round_id), made.folder / PAGE))
    return result


def _with_database(settled: settings.Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        database = databases.connect(settled.database)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


async def _registered(
    database: Database, settled: settings.Settings, pack: Pack, measured: Measured, found: verdicts.Found
) -> Pack:
    """Take `pack` into the registry; where it is not offered, it is held in the same transaction."""
    after = measured.after.report if measured.after is not None else None
    before = measured.before.report if measured.before is not None else None
    figures = {n: v for n in ("ap", "ap50") if after is not None and (v := getattr(after, n)) is not None}
    cameras = [{k: c.ap50 for k, c in r.cameras.items()} if r is not None else {} for r in (before, after)]
    figures |= camera_metrics(*cameras)
    reason = None if found.offered else found.sentence
    kept = await register(database, settled.packs, pack, figures, held=reason)
    await share(settled.blob_url, settled.packs, kept)
    await hold(database, kept.address, reason)
    return kept


def _result(made: Plan, pack: Pack, measured: Measured, found: verdicts.Found, judged: list[Verdict]) -> dict[str, Any]:
    before = measured.before.report if measured.before is not None else None
    after = measured.after.report if measured.after is not None else None
    return {
        "pack": pack.address, "detail": found.sentence, "held_back": len(made.frozen.judging),
        "ap_before": before and before.ap, "ap_after": after and after.ap,
        "ap50_before": before and before.ap50, "ap50_after": after and after.ap50,
        "offered": found.offered, "verdict": found.sentence, "gates": [verdicts.row(v) for v in judged],
    }  # fmt: skip


def _report(made: Plan, pack: Pack, measured: Measured, trained: Trained, known: dict[str, Any]) -> dict[str, Any]:
    """Return what the report says beside the result."""
    evidence = measured.evidence
    built = [None if seen is None else seen.report for seen in (measured.before, measured.after)]
    return {
        "round": made.folder.name, "name": pack.manifest.name, "parent": made.parent.address,
        "parent_name": made.parent.manifest.name, "snapshot": made.frozen.address, "labels": list(made.labels),
        "strategy": made.strategy, "seed": made.seed, "steps": trained.steps,
        "started_from": made.origin.manifest.name if made.strategy == "joint" else made.parent.manifest.name,
        "memory_frames": made.memory.frames, "delta_bytes": evidence.delta_bytes, "pack_bytes": evidence.pack_bytes,
        "threshold": pack.manifest.score_threshold, "timing": msgspec.to_builtins(evidence.timing),
        "judgement": msgspec.to_builtins(evidence.judgement), "evaluations": msgspec.to_builtins(built),
        "history": trained.history, **known, **facts.metrics(measured, known["lineage"], made.folder.name),
    }  # fmt: skip


def read_report(folder: Path) -> dict[str, Any]:
    """Return the report of the round in `folder`. Raises OSError, ValueError where there is none."""
    found: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
    return found


def _written(made: Plan, measured: Measured, report: dict[str, Any]) -> None:
    """Write the page, then the JSON: where that is there, all is."""
    files.write_atomic(made.folder / PAGE, render(report, errors(made, measured)).encode())
    files.write_atomic(made.folder / REPORT, json.dumps(report, indent=1).encode())
