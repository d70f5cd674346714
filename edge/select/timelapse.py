"""A baseline: one frame at fixed intervals, nothing left to chance."""

from __future__ import annotations

from random import Random
from typing import Final

from edge.runtime import Inference
from edge.select import Selector
from edge.select.draw import Draw, Judgement
from edge.select.quota import Allowance, Quota
from protocols.messages import Assessment, Policy

TOLERANCE_S: Final = 1e-6
"""Sums of frame times are rounded; a frame this early is on time."""


class Timelapse:
    """Judges by the clock. Implements `edge.select.draw.Judge`."""

    def __init__(self, policy: Policy) -> None:
        self._gap, self._rate = policy.min_gap_s, 0.0
        self._quota: Quota | None = None
        self._now = 0.0
        self._due: float | None = 0.0

    def watch(self, quota: Quota) -> None:
        """Take the interval from `quota`."""
        self._quota = quota

    def _interval(self) -> float:
        rate = 0.0 if self._quota is None else self._quota.rate()
        return max(self._gap, 1.0 / rate) if rate > 0 else float("inf")

    def judge(self, assessment: Assessment, inference: Inference | None, allowance: Allowance) -> Judgement:
        """Return one where the interval is over, else zero."""
        self._now += allowance.seconds
        due = self._due is None or self._now + TOLERANCE_S >= self._due
        return float(due), f"every {self._interval():g} s" if due else "not yet due"

    def kept(self, inference: Inference | None) -> None:
        """Set the next date, on the grid of the old one where that is not long past."""
        interval, due = self._interval(), self._now if self._due is None else self._due
        self._due = due + interval if self._now - due < interval else self._now + interval


class TimelapsePolicy:
    """The member of `edge.select` for fixed intervals."""

    name = "timelapse"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        judge = Timelapse(policy)
        draw = Draw(policy, random, judge, audited=False, chance=False)
        judge.watch(draw.quota)
        return draw


POLICY = TimelapsePolicy()
