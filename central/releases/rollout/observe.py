"""What became of one node that was offered a release, from what it said and what it did not say. Pure.

    offered -> installed -> healthy          any -> failed, with the reason

Installed is not enough: the node must say once more, later, that it runs the pack. Silence is a failure after the
deadline, wherever it begins. What a node said before it was offered the release says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from central.store.models import Node, ReleaseNode, RolloutNode

CONTRADICTION_S: Final = 120.0
"""Seconds for which a node may seem to run another pack than the one that it installed: an older health message may be
delivered late, and the next ones put it right."""


@dataclass(frozen=True)
class Seen:
    """What of a node and its update matters here."""

    state: str
    pack: str | None
    health_at: datetime | None
    step: str
    reason: str = ""
    progress: float = 0.0

    @classmethod
    def of(cls, node: Node, update: ReleaseNode | None) -> Seen:
        """Return what the tables hold of `node` and its `update`."""
        step, reason, progress = (
            ("announced", "", 0.0) if update is None else (update.step, update.reason, update.progress)
        )
        return cls(node.state, node.pack, node.health_at, step, reason, progress)


def _fail(row: RolloutNode, reason: str) -> None:
    row.stage, row.reason = "failed", reason[:2000]


def _lasted(since: float | None, clock_s: float, deadline_s: float) -> bool:
    return since is not None and clock_s - since > deadline_s


def _offered(row: RolloutNode, seen: Seen, clock_s: float, deadline_s: float) -> None:
    if seen.step == "rolled-back":
        _fail(row, seen.reason or "went back to the old pack")
    elif seen.step == "committed":
        row.stage, row.reason, row.health_seen, row.silent_s = "installed", "", seen.health_at, clock_s
    elif _lasted(row.offered_s, clock_s, deadline_s):
        at = "nothing heard" if seen.step == "announced" else f"last heard of {seen.step}, {seen.progress:.0%}"
        _fail(row, f"silent: not installed within {deadline_s:.0f} s; {at}")


def _installed(row: RolloutNode, seen: Seen, pack: str, clock_s: float, deadline_s: float) -> None:
    spoke = seen.health_at is not None and seen.health_at != row.health_seen
    if seen.step == "rolled-back":
        _fail(row, seen.reason or "went back to the old pack")
    elif spoke and seen.pack != pack:
        if _lasted(row.silent_s, clock_s, min(deadline_s, CONTRADICTION_S)):
            _fail(row, f"installed the pack, but runs {(seen.pack or 'none')[:12]}")
    elif spoke and seen.state == "online":
        row.stage, row.reason, row.silent_s = "healthy", "", None
    elif _lasted(row.silent_s, clock_s, deadline_s):
        _fail(row, f"silent: installed the pack, and not heard of for {deadline_s:.0f} s since")


def _healthy(row: RolloutNode, seen: Seen, pack: str, clock_s: float, deadline_s: float) -> None:
    if seen.state == "online" and seen.pack == pack:
        row.silent_s = None
        return
    if row.silent_s is None:
        row.silent_s = clock_s
    if seen.state != "online" and _lasted(row.silent_s, clock_s, deadline_s):
        _fail(row, f"silent: {seen.state} for {deadline_s:.0f} s after it had installed the pack")
    elif seen.state == "online" and _lasted(row.silent_s, clock_s, min(deadline_s, CONTRADICTION_S)):
        _fail(row, f"ran the pack, but now runs {(seen.pack or 'none')[:12]}")


def observe(row: RolloutNode, seen: Seen, pack: str, clock_s: float, deadline_s: float) -> bool:
    """Bring `row` up to date with what was `seen` of the node; say whether its stage changed.

    `pack` is the address that is rolled out; `clock_s` the rollout's clock.
    """
    before = row.stage
    if before == "offered":
        _offered(row, seen, clock_s, deadline_s)
        if row.stage == "installed":
            _installed(row, seen, pack, clock_s, deadline_s)
    elif before == "installed":
        _installed(row, seen, pack, clock_s, deadline_s)
    elif before == "healthy":
        _healthy(row, seen, pack, clock_s, deadline_s)
    return row.stage != before


def observe_back(row: RolloutNode, seen: Seen, target: str | None) -> bool:
    """The same for a node on its way back to the pack `target`; say whether its stage changed.

    A node that is silent stays `returning`: it goes back when it is there again."""
    if row.stage != "returning":
        return False
    if seen.step == "committed" and seen.pack == target:
        row.stage = "returned"
    elif seen.step == "rolled-back":
        row.stage, row.reason = "stuck", (seen.reason or "did not take the old pack")[:2000]
    return row.stage != "returning"
