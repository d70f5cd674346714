"""What a report tells beside figures of the pack: what was new, what it cost people, and the rounds before it.

Metrics over rounds are those of the literature (`central.learn.incremental.metrics`), on what each round brought: the
cameras, and the classes, that were judged for the first time in it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from central.learn.incremental import metrics as incremental
from central.learn.judging import Change
from central.learn.round.measuring import Measured
from central.learn.round.plan import Plan
from central.store.database import Database
from central.store.models import LabelRevision, Opinion, Round

MOST_ROUNDS: Final = 50
"""Rounds before this one that are looked at."""
PAGE: Final = 500
KINDS: Final = {"labelled": "answers", "adjudicated": "decisions about two answers", "cant_tell": "can't tell"}
CORRECTION: Final = "corrections"
SECOND: Final = "second opinions"


async def facts(database: Database, plan: Plan, round_id: str) -> dict[str, Any]:
    """Return ``new`` (frames, boxes by class, frames by camera), ``cost`` by kind, ``lineage`` and the round's row."""
    new = plan.material.new
    boxes = Counter(label for i in new for label, w in zip(i.labels, i.weights, strict=True) if w > 0)
    async with database.read() as session:
        row = await session.get(Round, round_id)
    held = plan.frozen.judging
    return {
        "new": {
            "frames": len(new), "boxes": dict(sorted(boxes.items())), "by_machine": sum(i.by_machine for i in new),
            "cameras": dict(sorted(Counter(f"{i.node}/{i.camera}" for i in new).items())),
            "classes": [label for label in plan.labels if label not in plan.shared],
            "former": dict(plan.former), "past_frames": len(plan.material.past), "held_back": len(held),
        },
        "cost": await cost(database, [item.frame for item in new]),
        "lineage": await _lineage(database, plan),
        "by": row.by if row is not None else "",
        "starts": row.starts if row is not None else 1,
        "begun": row.started.isoformat(timespec="seconds") if row is not None and row.started is not None else None,
        "options": dict(row.options) if row is not None else {},
    }  # fmt: skip


async def cost(database: Database, frames: list[str]) -> list[dict[str, Any]]:
    """Return by kind of work how many answers people gave about `frames`, in how many seconds, and how many of them
    nobody timed."""
    found: dict[str, list[float | None]] = {}
    for start in range(0, len(frames), PAGE):
        part = frames[start : start + PAGE]
        async with database.read() as session:
            query = select(LabelRevision.frame, LabelRevision.state, LabelRevision.seconds)
            ordered = query.where(LabelRevision.frame.in_(part)).order_by(LabelRevision.frame, LabelRevision.revision)
            seen: set[str] = set()
            for frame, state, seconds in await session.execute(ordered):
                kind = CORRECTION if state == "labelled" and frame in seen else KINDS.get(state, state)
                seen.add(frame)
                found.setdefault(kind, []).append(seconds)
            for seconds in await session.scalars(select(Opinion.seconds).where(Opinion.frame.in_(part))):
                found.setdefault(SECOND, []).append(seconds)
    return [
        {
            "kind": kind, "answers": len(times), "seconds": sum(t for t in times if t is not None),
            "untimed": sum(t is None for t in times),
        }
        for kind, times in sorted(found.items())
    ]  # fmt: skip


async def _lineage(database: Database, plan: Plan) -> list[dict[str, Any]]:
    """Return the rounds that led to the parent, oldest first, as far as their reports are here."""
    async with database.read() as session:
        rows = {r.pack: r.id for r in await session.scalars(select(Round).where(Round.pack.is_not(None)))}
    return await asyncio.to_thread(_read, rows, plan.parent.address, plan.folder.parent)


def _read(rounds: dict[str | None, str], pack: str | None, folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while pack in rounds and len(found) < MOST_ROUNDS:
        try:
            report = json.loads((folder / rounds[pack] / "report.json").read_bytes())
        except (OSError, ValueError):
            break
        judged = report.get("judgement") or {}
        parts = {
            kind: {c["name"]: c["after"] for c in judged.get(kind) or [] if c.get("after") is not None}
            for kind in ("cameras", "classes")
        }
        found.append({"round": report.get("round", rounds[pack]), "ap50": report.get("ap50_after"), **parts})
        pack = report.get("parent")
    return found[::-1]


def metrics(measured: Measured, lineage: list[dict[str, Any]], round_id: str) -> dict[str, Any]:
    """Return ``incremental``: AP50 of old and new classes, and over all rounds forgetting and backward transfer."""
    judged = measured.judgement
    if judged is None:
        return {"incremental": None}
    now = {
        "round": round_id, "ap50": judged.overall.after,
        "cameras": {c.name: c.after for c in judged.cameras if c.after is not None},
        "classes": {c.name: c.after for c in judged.classes if c.after is not None},
    }  # fmt: skip
    rows = [*lineage, now]
    old, new = judged.old_classes, judged.new_classes
    found: dict[str, Any] = {"old_classes": _pair(old), "new_classes": _pair(new)}
    for kind in ("cameras", "classes"):
        found[kind] = over_rounds([row[kind] for row in rows])
    return {"incremental": found}


def _pair(change: Change | None) -> dict[str, float | None] | None:
    return None if change is None else {"before": change.before, "after": change.after}


def over_rounds(rows: list[dict[str, float]]) -> dict[str, float | int] | None:
    """Return forgetting and backward transfer over rounds, each with AP50 by name; None where fewer than two of them
    brought something that is still judged."""
    first: dict[str, int] = {}
    for t, row in enumerate(rows):
        for name in row:
            first.setdefault(name, t)
    last = rows[-1]
    brought = sorted({first[name] for name in last})
    parts = [[name for name in last if first[name] == t] for t in brought]

    def mean(row: dict[str, float], names: list[str]) -> float:
        known = [row[name] for name in names if name in row]
        return sum(known) / len(known) if known else 0.0

    steps = brought if brought and brought[-1] == len(rows) - 1 else [*brought, len(rows) - 1]
    if len(steps) < 2:
        return None
    if len(steps) > len(parts):
        parts.append([])
    table = [[mean(rows[t], names) for names in parts] for t in steps]
    return {
        "rounds": len(rows), "steps": len(steps), "forgetting": incremental.forgetting(table),
        "backward_transfer": incremental.backward_transfer(table),
    }  # fmt: skip
