"""A fleet with a rollout to look at: its first waves passed, the third halted; nodes failed, are away, or wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from central.releases.rollout.plan import Plan, render
from central.store import models as db

SIZES: Final = (1, 4, 13, 32)
"""Nodes in all after each wave."""
NAMES: Final = tuple(f"junction-{n:02d}" for n in range(1, SIZES[-1] + 1))
WHY: Final = "checking: scores is off by 0.2"
GATES: Final = {
    "install": ("pass", 0.0, 0.01, "0 of 4 nodes failed"),
    "latency": ("pass", 1.08, 1.3, "1.08 times as long on the median node"),
    "agreement": ("pass", 0.87, 0.5, "0.87 on 400 frames; 612 boxes before, 598 after"),
    "accuracy": ("not_enough", None, 0.05, "11 of 30 audited frames are answered"),
}


def _said(**other: tuple[str, float | None, float, str]) -> dict[str, Any]:
    keys = ("outcome", "value", "limit", "reason")
    return {name: dict(zip(keys, said, strict=True)) for name, said in {**GATES, **other}.items()}


def nodes(now: datetime, pack: str) -> list[db.Base]:
    """Return the nodes of the fleet, all of which run `pack`."""
    return [
        db.Node(name=n, site="ring", state="online", version="0.1.0", since=now - timedelta(hours=3), pack=pack)
        for n in NAMES
    ]


def rollout(now: datetime, pack: str, from_pack: str, by: str) -> db.Rollout:
    """Return a rollout of `pack` that halted in its third wave."""
    begun = now - timedelta(minutes=52)
    made = db.Rollout(
        pack=pack, from_pack=from_pack, release=3, state="halted", revision=4, wave=2, clock_s=3100.0, by=by,
        plan=render(Plan(waves=SIZES, on_halt="hold")), notes="rain, and vans", created=begun, started=begun,
        reason=f"install: 2 of 13 nodes failed: {NAMES[5]}: {WHY}",
    )  # fmt: skip
    bad = {"install": ("fail", 2 / 13, 0.01, f"2 of 13 nodes failed: {NAMES[5]}: {WHY}")}
    for number, said in enumerate((_said(), _said(), _said(**bad), {})):
        opened = begun + timedelta(minutes=12 * number)
        state = ("passed", "passed", "failed", "waiting")[number]
        closed = opened + timedelta(minutes=11)
        times = {} if state == "waiting" else {"opened": opened, "closed": closed}
        made.waves.append(db.RolloutWave(number=number, group="fleet", state=state, gates=said, **times))
    made.nodes = [_member(i, name, begun, from_pack) for i, name in enumerate(NAMES)]
    return made


def _member(index: int, name: str, begun: datetime, from_pack: str) -> db.RolloutNode:
    wave = next(number for number, size in enumerate(SIZES) if index < size)
    stage = {5: "failed", 9: "failed", 7: "away"}.get(index, "healthy" if wave < 3 else "waiting")
    offered = begun + timedelta(minutes=12 * wave) if wave < 3 and stage != "away" else None
    fared = {"latency_p95_ms": 41.0 + index % 3, "fps": 12.0}
    return db.RolloutNode(
        node=name, wave=wave, group="fleet", stage=stage, offered=offered, from_pack=from_pack,
        reason=WHY if stage == "failed" else "", before=fared if offered else {},
        after={"latency_p95_ms": 44.0 + index % 3, "fps": 12.0} if stage == "healthy" else {},
    )  # fmt: skip


def history(made: db.Rollout) -> Sequence[db.Base]:
    """Return what happened to it."""

    def event(minutes: int, who: str, kind: str, to: str, reason: str) -> db.RolloutEvent:
        at = made.created + timedelta(minutes=minutes)
        return db.RolloutEvent(
            rollout=made.id, at=at, by=who, kind=kind, from_state="running", to_state=to, reason=reason
        )

    return [
        event(0, made.by, "state", "running", "started"),
        event(0, "centre", "wave", "running", "wave 1 of 4: offered to 1 nodes"),
        event(11, "centre", "passed", "running", "wave 1 of 4 passed"),
        event(23, "centre", "passed", "running", "wave 2 of 4 passed"),
        event(27, "centre", "state", "halted", made.reason),
    ]
