"""Every frame, quota or not: for demonstrations, tests and short recordings."""

from __future__ import annotations

from random import Random

from edge.select import Selector
from protocols.messages import Assessment, Policy, Selection


class All:
    """Keeps everything. Implements `Selector`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def decide(self, assessment: Assessment, now: float) -> Selection:
        """Return the decision to keep."""
        return Selection(keep=True, probability=1.0, reason="every frame is kept", policy=self._name)


class AllPolicy:
    """The member of `edge.select` that keeps every frame."""

    name = "all"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return All(policy.policy)


POLICY = AllPolicy()
