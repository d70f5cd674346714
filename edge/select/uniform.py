"""A baseline: every frame has the same odds under the quota, whatever it shows."""

from __future__ import annotations

from random import Random

from edge.select import Selector
from edge.select.quota import Quota
from protocols.messages import Assessment, Policy, Selection


class Uniform:
    """Draws uniformly in time. Implements `Selector`."""

    def __init__(self, policy: Policy, random: Random) -> None:
        self._name, self._random, self._quota = policy.policy, random, Quota(policy)

    def decide(self, assessment: Assessment, now: float) -> Selection:
        """Return the decision; scores are not looked at."""
        allowed = self._quota.step(now)
        closed = self._quota.closed()
        probability = 0.0 if closed else min(1.0, allowed * self._quota.gain())
        keep = not closed and self._random.random() < probability
        if keep:
            self._quota.spend()
        reason = "drawn uniformly" if keep else f"not kept: {closed}" if closed else f"not drawn ({probability:.1%})"
        return Selection(keep=keep, probability=probability, reason=reason, policy=self._name)


class UniformPolicy:
    """The member of `edge.select` for the uniform draw."""

    name = "uniform"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Uniform(policy, random)


POLICY = UniformPolicy()
