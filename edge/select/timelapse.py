"""A baseline: one frame at fixed intervals, nothing left to chance."""

from __future__ import annotations

from random import Random

from edge.select import Selector
from edge.select.quota import HOUR_S
from protocols.messages import Assessment, Policy, Selection

TOLERANCE_S = 1e-6
"""Sums of frame times are rounded; a frame this early is on time."""


class Timelapse:
    """Keeps a frame whenever the interval is over. Implements `Selector`."""

    def __init__(self, policy: Policy) -> None:
        self._name = policy.policy
        rate = policy.frames_per_hour / HOUR_S
        self._interval = max(policy.min_gap_s, 1.0 / rate) if rate > 0 else float("inf")
        self._due: float | None = None if rate > 0 else float("inf")

    def decide(self, assessment: Assessment, now: float) -> Selection:
        """Return the decision; the probability is one or zero."""
        keep = self._due is None or now + TOLERANCE_S >= self._due
        if keep:
            due = now if self._due is None else self._due
            self._due = due + self._interval if now - due < self._interval else now + self._interval
        reason = f"every {self._interval:g} s" if keep else "not yet due"
        return Selection(keep=keep, probability=float(keep), reason=reason, policy=self._name)


class TimelapsePolicy:
    """The member of `edge.select` for fixed intervals."""

    name = "timelapse"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Timelapse(policy)


POLICY = TimelapsePolicy()
