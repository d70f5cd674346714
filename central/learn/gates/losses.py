"""Is any of several changes certainly a loss beyond a limit? What the gates of cameras and classes have in common."""

from __future__ import annotations

from collections.abc import Sequence

from central.learn.gates import Verdict
from central.learn.judging import LEAST_BOXES, LEAST_FRAMES, Change

NAMED = 5
"""Of those that lost, or cannot be told, how many a reason names."""


def points(value: float) -> str:
    """Return a change of AP50 in points, with its sign."""
    return f"{100 * value:+.1f}"


def told(row: Change) -> str:
    """Return one change in words."""
    span = row.certain or row.span
    within = f" ({points(span[0])} to {points(span[1])})" if span else ""
    return f"{row.name} {points(row.change or 0.0)} points{within}"


def worst(gate: str, what: str, rows: Sequence[Change], limit: float) -> Verdict:
    """Return the verdict on `rows`, each of one `what` (camera, class)."""
    known = sorted((r for r in rows if r.change is not None), key=lambda r: r.change or 0.0)
    if not known:
        return Verdict(gate, "not_enough", None, limit, f"no {what} has a box in the held-back frames")
    value = -(known[0].change or 0.0)
    judged = [r for r in known if r.certain is not None]
    lost = [r for r in judged if r.certain is not None and r.certain[1] < -limit]
    if lost:
        names = "; ".join(told(r) for r in lost[:NAMED])
        return Verdict(gate, "fail", value, limit, f"certainly lost more than {100 * limit:.0f} points: {names}")
    open_ = [r for r in judged if r.certain is not None and r.certain[0] <= -limit]
    few = [r for r in known if r.certain is None]
    if open_ or few:
        parts = [f"not certain either way: {'; '.join(told(r) for r in open_[:NAMED])}"] if open_ else []
        if few:
            names = ", ".join(f"{r.name} ({r.frames} frames, {r.boxes} boxes)" for r in few[:NAMED])
            more = f" and {len(few) - NAMED} more" if len(few) > NAMED else ""
            parts.append(f"fewer than {LEAST_FRAMES} frames or {LEAST_BOXES} boxes to judge by: {names}{more}")
        return Verdict(gate, "not_enough", value, limit, "; ".join(parts))
    return Verdict(gate, "pass", value, limit, f"lowest: {told(known[0])}")
