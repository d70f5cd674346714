"""From the gates' verdicts to what is done next. Pure: the simulation of 4,000 rollouts runs through this very code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from central.releases.gates import Evidence, Verdict, gates
from central.releases.rollout.plan import GateSettings, Plan

Step = Literal["wait", "next", "done", "halt"]


@dataclass(frozen=True)
class Decision:
    """What to do, and why."""

    step: Step
    reason: str
    verdicts: tuple[Verdict, ...] = ()


def verdicts(evidence: Evidence, plan: Plan) -> list[tuple[Verdict, bool]]:
    """Return what each gate of `plan` says, and whether the wave has to wait for it."""
    found = []
    for name, gate in gates().items():
        settings = plan.gates.get(name) or GateSettings()
        if not settings.on:
            continue
        own = gate.limit if settings.limit is None else settings.limit
        limit = plan.acceptable if own is None else own
        required = gate.required if settings.required is None else settings.required
        found.append((gate.judge(evidence, limit, plan.rule), required))
    return found


def decide(said: Sequence[tuple[Verdict, bool]], settled: bool, soaked: bool, last: bool) -> Decision:
    """Say what follows for the open wave.

    `said`: each gate's verdict and whether it is required. `settled`: no node of the wave is under way; `soaked`: it
    was watched for long enough since; `last`: no wave follows.
    """
    told = tuple(verdict for verdict, _ in said)
    failed = [v for v in told if v.outcome == "fail"]
    if failed:
        return Decision("halt", "; ".join(f"{v.gate}: {v.reason}" for v in failed), told)
    if not settled:
        return Decision("wait", "nodes are under way", told)
    if not soaked:
        return Decision("wait", "the wave is watched for a while", told)
    missing = [v for v, required in said if required and v.outcome == "not_enough"]
    if missing:
        return Decision("wait", "waits for " + "; ".join(f"{v.gate}: {v.reason}" for v in missing), told)
    return Decision("done" if last else "next", "every gate let it pass", told)
