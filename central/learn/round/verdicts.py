"""What comes of a round, in one sentence, and whether its pack is offered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from central.learn.gates import Verdict, gates
from central.learn.judging import Change
from central.learn.round.measuring import Measured
from central.learn.round.plan import Plan
from protocols.messages import MAX_TEXT

SHORT: Final = 300
"""Characters of one reason."""


@dataclass(frozen=True)
class Found:
    """The outcome."""

    offered: bool
    sentence: str


def row(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as the API and the report have it."""
    return {
        "gate": verdict.gate, "outcome": verdict.outcome, "value": verdict.value, "limit": verdict.limit,
        "unit": gates()[verdict.gate].unit, "reason": verdict.reason,
    }  # fmt: skip


def name_of(gate: str) -> str:
    """Return a gate's name as people write it."""
    return gate.replace("_", " ")


def verdict(plan: Plan, measured: Measured, judged: Sequence[Verdict]) -> Found:
    """Return whether the pack is offered, and why."""
    failed = [v for v in judged if v.outcome == "fail"]
    figures = _figures(plan, measured)
    if failed:
        why = "; ".join(f"{name_of(v.gate)}: {v.reason[:SHORT]}" for v in failed)
        return Found(False, f"not offered: {why} ({figures})"[:MAX_TEXT])
    unsure = [name_of(v.gate) for v in judged if v.outcome == "not_enough"]
    more = f"; not enough frames to judge {' and '.join(unsure)}" if unsure else ""
    return Found(True, f"{figures}{more}"[:MAX_TEXT])


def _figures(plan: Plan, measured: Measured) -> str:
    after = measured.after.report if measured.after is not None else None
    before = measured.before.report if measured.before is not None else None
    if after is None or after.ap50 is None:
        return "done; no held-back frame with a person's labels to judge it by"
    held = len(plan.frozen.judging)
    was = before.ap50 if before is not None and before.ap50 is not None else 0.0
    change = measured.judgement.overall if measured.judgement is not None else None
    return f"AP50 {was:.3f} before, {after.ap50:.3f} after{_span(change)}, on {held} held-back frames"


def _span(change: Change | None) -> str:
    if change is None or change.span is None:
        return ""
    low, high = change.span
    return f" (change {100 * low:+.1f} to {100 * high:+.1f} points)"
