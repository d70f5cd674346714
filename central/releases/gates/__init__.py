"""What a wave is judged by: one file per gate, found by being here (`GATE`).

    evidence (`central.releases.rollout.evidence`) -> gate, its limit, the rule -> `Verdict`

A gate takes what is known and gives a verdict; it asks nobody. It says `pass`, `fail`, or that there is `not enough`
yet to say: then a wave waits for it only where the plan requires it.

install       nodes that failed or fell silent            crashes      nodes that crashed with the new pack
parity        devices that compute something else         latency      how much longer an inference takes
agreement     boxes that both packs report                score_shift  how much the scores moved
accuracy      audited field accuracy, with its interval   worst_camera nobody's camera is given up for the average
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from central.annotate.estimate import Interval
from central.releases.halting import Rule
from protocols import slots
from protocols.messages import Shadow

Outcome = Literal["pass", "fail", "not_enough"]
State = Literal["pending", "healthy", "failed"]


@dataclass(frozen=True)
class Verdict:
    """What a gate says. `value` and `limit` are in the gate's own unit; None where there is nothing to show."""

    gate: str
    outcome: Outcome
    value: float | None
    limit: float | None
    reason: str


@dataclass(frozen=True)
class NodeEvidence:
    """One node that was offered the release. `before` and `after`: `central.releases.rollout.fared`."""

    node: str
    state: State
    backend: str = ""
    reason: str = ""
    failed_step: str | None = None
    """The step of the update that failed, where the node said so."""
    reached: bool = False
    """Whether it got beyond the check of what the device computes."""
    shadow: Shadow | None = None
    crashes: int | None = None
    """Since it was offered the release; None where it does not count them."""
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Accuracy:
    """Field accuracy with the old and the new pack, of one camera (``node/camera``), or of all: empty."""

    camera: str
    found_before: Interval | None
    found_after: Interval | None
    right_before: Interval | None
    right_after: Interval | None


@dataclass(frozen=True)
class Evidence:
    """What is known of the nodes that were offered the release, all waves so far together.

    `failed` of `judged` nodes failed; `settled`: none of them is still under way.
    """

    failed: int
    judged: int
    settled: bool
    nodes: Sequence[NodeEvidence] = ()
    overall: Accuracy | None = None
    """None where it was not looked up, as before a wave has settled."""
    cameras: Sequence[Accuracy] = ()


class Gate(Protocol):
    """One thing that a wave must not break."""

    name: str
    does: str
    """In words, for people who set it."""
    unit: str
    limit: float | None
    """Where a plan sets none; None: the plan's acceptable share of nodes."""
    required: bool
    """Whether a wave waits until this gate has enough, where the plan does not say."""

    def judge(self, evidence: Evidence, limit: float, rule: Rule) -> Verdict:
        """Return the verdict on `evidence`; `rule.significance` says how sure one must be to stop."""
        ...


@functools.cache
def gates() -> dict[str, Gate]:
    """Return every gate by its name."""
    return cast(dict[str, Gate], slots.members(__name__, "GATE"))
