"""Every frame, quota or not: for demonstrations, tests and short recordings."""

from __future__ import annotations

from random import Random

from edge.runtime import Inference
from edge.select import Selector
from edge.select.quota import Quota
from protocols.messages import Assessment, Policy, Selection


class All:
    """Keeps everything. Implements `Selector`."""

    def __init__(self, policy: Policy) -> None:
        self.quota = Quota(policy)
        self._name = policy.policy

    def decide(self, assessment: Assessment, now: float, inference: Inference | None = None) -> Selection:
        """Return the decision to keep. What is kept is counted, so that a policy with quotas can follow."""
        self.quota.step(now)
        self.quota.spend(now)
        return Selection(keep=True, probability=1.0, reason="every frame is kept", policy=self._name)

    def most_bytes(self) -> int | None:
        """Return None: no quota counts here."""
        return None

    def settle(self, size: int) -> None:
        """Tell what the oldest kept frame weighed, in bytes. Any thread."""
        self.quota.history.settle(size)

    def follow(self, other: Selector) -> None:
        """Take over what `other` spent."""
        self.quota.history = other.quota.history


class AllPolicy:
    """The member of `edge.select` that keeps every frame."""

    name = "all"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return All(policy)


POLICY = AllPolicy()
