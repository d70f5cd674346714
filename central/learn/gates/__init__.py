"""What the pack of a round must not break before it is offered: one file per gate, found by being here (`GATE`).

    evidence (held-back frames, timing, bytes) -> gate and its limit -> `Verdict`

A gate says `fail` where a loss beyond its limit is certain, `pass` where it is certain that there is none, and
`not_enough` where the frames cannot tell: that stops nothing, and is said. The limits are settings (``gate_<name>``).

worst_camera, worst_class   nobody's camera, and no class, is given up for the average
calibration                 scores mean what they say          latency, size   what the nodes and their links can bear
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from central.learn.judging import Judgement, Span
from central.releases.gates import Outcome, Verdict
from protocols import slots

__all__ = ["Evidence", "Gate", "Outcome", "Timing", "Verdict", "gates", "judge"]


@dataclass(frozen=True)
class Timing:
    """Both packs on the same frames of this machine, in turns. Milliseconds; `ratio` is after over before."""

    before_ms: float
    after_ms: float
    ratio: float
    span: Span | None
    frames: int


@dataclass(frozen=True)
class Evidence:
    """What is known of a pack before it is offered. None: it could not be measured."""

    judgement: Judgement | None
    timing: Timing | None
    delta_bytes: int | None
    pack_bytes: int


class Gate(Protocol):
    """One thing that a round must not break."""

    name: str
    does: str
    """In words, for people who set it."""
    unit: str
    limit: float
    """Where the settings say nothing."""

    def judge(self, evidence: Evidence, limit: float) -> Verdict:
        """Return the verdict on `evidence`."""
        ...


@functools.cache
def gates() -> dict[str, Gate]:
    """Return every gate by its name."""
    return cast(dict[str, Gate], slots.members(__name__, "GATE"))


def judge(evidence: Evidence, limits: Mapping[str, float]) -> list[Verdict]:
    """Return what every gate says; `limits` by name, a gate's own where there is none."""
    return [gate.judge(evidence, float(limits.get(name, gate.limit))) for name, gate in gates().items()]
