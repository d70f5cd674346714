"""What became of one node, from what it said; and what follows from the gates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from central.releases.gates import Outcome, Verdict
from central.releases.rollout import RolloutError, state
from central.releases.rollout.judge import decide
from central.releases.rollout.observe import CONTRADICTION_S, Seen, observe
from central.store.models import RolloutNode

PACK, OTHER = "b" * 64, "a" * 64
T0 = datetime(2026, 1, 1, tzinfo=UTC)
T1 = T0 + timedelta(seconds=30)
DEADLINE = 600.0


def row(stage: str, **more: Any) -> RolloutNode:
    given = {"offered_s": 0.0, "silent_s": None, "health_seen": None, "reason": "", **more}
    return RolloutNode(node="n", stage=stage, **given)


def seen(step: str = "announced", pack: str | None = PACK, at: datetime | None = T0, node: str = "online") -> Seen:
    return Seen(node, pack, at, step, "why" if step == "rolled-back" else "")


@pytest.mark.parametrize(
    ("before", "saw", "clock_s", "stage"),
    [
        (row("waiting"), seen("committed"), 9999, "waiting"),
        (row("away"), seen("committed"), 9999, "away"),
        (row("offered"), seen("fetching", OTHER), 600, "offered"),
        (row("offered"), seen("fetching", OTHER), 601, "failed"),
        (row("offered"), seen("rolled-back", OTHER), 1, "failed"),
        (row("offered"), seen("committed"), 1, "installed"),
        (row("installed", health_seen=T0, silent_s=0.0), seen("committed"), 600, "installed"),
        (row("installed", health_seen=T0, silent_s=0.0), seen("committed"), 601, "failed"),
        (row("installed", health_seen=T0, silent_s=0.0), seen("committed", at=T1), 601, "healthy"),
        (row("installed", health_seen=T1, silent_s=0.0), seen("committed", at=T0), 1, "healthy"),
        (row("installed", health_seen=T0, silent_s=0.0), seen("committed", at=T1, node="offline"), 1, "installed"),
        (row("installed", health_seen=T0, silent_s=0.0), seen("committed", OTHER, T1), 1, "installed"),
        (row("installed", health_seen=T0, silent_s=0.0), seen("committed", OTHER, T1), CONTRADICTION_S + 1, "failed"),
        (row("healthy"), seen("committed"), 9999, "healthy"),
        (row("healthy", silent_s=0.0), seen("committed", node="offline"), 600, "healthy"),
        (row("healthy", silent_s=0.0), seen("committed", node="offline"), 601, "failed"),
        (row("healthy", silent_s=0.0), seen("committed", OTHER), CONTRADICTION_S + 1, "failed"),
        (row("failed"), seen("committed", at=T1), 1, "failed"),
    ],
)
def test_observe__silence_is_failure_and_installed_is_no_success(
    before: RolloutNode, saw: Seen, clock_s: float, stage: str
) -> None:
    was = before.stage
    assert observe(before, saw, PACK, clock_s, DEADLINE) is (stage != was)
    assert before.stage == stage
    if stage == "failed" and was != "failed":
        assert before.reason


def test_observe__a_node_that_comes_back_in_time_is_forgiven_its_silence() -> None:
    node = row("healthy")
    observe(node, seen("committed", node="offline"), PACK, 100, DEADLINE)
    assert node.silent_s == 100
    observe(node, seen("committed"), PACK, 600, DEADLINE)
    observe(node, seen("committed", node="offline"), PACK, 650, DEADLINE)
    assert (node.stage, node.silent_s) == ("healthy", 650)


def said(*outcomes: Outcome, required: bool = False) -> list[tuple[Verdict, bool]]:
    return [(Verdict(f"g{i}", outcome, None, None, "so"), required) for i, outcome in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("verdicts", "settled", "soaked", "last", "step"),
    [
        (said("pass", "pass"), True, True, False, "next"),
        (said("pass"), True, True, True, "done"),
        (said("pass", "not_enough"), True, True, False, "next"),
        (said("pass", "not_enough", required=True), True, True, False, "wait"),
        (said("pass"), True, False, False, "wait"),
        (said("pass"), False, False, True, "wait"),
        (said("pass", "fail"), True, True, True, "halt"),
        (said("fail"), False, False, False, "halt"),
    ],
)
def test_decide__one_failing_gate_is_enough(verdicts: Any, settled: bool, soaked: bool, last: bool, step: str) -> None:
    assert decide(verdicts, settled, soaked, last).step == step


def test_state__a_rollout_that_ended_badly_is_over() -> None:
    assert state.possible("rolled_back") == []
    assert state.possible("done") == ["rollback"]
    with pytest.raises(RolloutError, match="does not go from done to running"):
        state.check("done", "running")
