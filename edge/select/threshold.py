"""A baseline: whatever is above a fixed threshold is kept until the quota is used up; the audit share is drawn."""

from __future__ import annotations

from random import Random

from edge.select import Selector
from edge.select.quota import Quota
from edge.select.value import WEIGHTS
from protocols.messages import Assessment, Policy, Selection

THRESHOLD = 0.5
"""Every score is made so that this is its middle."""


def strongest(assessment: Assessment) -> tuple[str, float]:
    """Return the highest score that makes a frame worth keeping, by name; ("", 0) where there is none."""
    scores = {name: getattr(assessment, name) for name in WEIGHTS}
    given = {name: float(score) for name, score in scores.items() if score is not None}
    name = max(given, key=lambda key: given[key], default="")
    return name, given.get(name, 0.0)


class Threshold:
    """Keeps what is above THRESHOLD. Implements `Selector`."""

    def __init__(self, policy: Policy, random: Random) -> None:
        self._policy, self._random, self._quota = policy, random, Quota(policy)

    def decide(self, assessment: Assessment, now: float) -> Selection:
        """Return the decision; the probability is one above the threshold and that of an audit below it."""
        allowed = self._quota.step(now)
        closed = self._quota.closed()
        name, score = strongest(assessment)
        above = score >= THRESHOLD
        audit = min(1.0, self._policy.audit_share * allowed)
        probability = 0.0 if closed else 1.0 if above else audit
        keep = self._random.random() < probability
        if keep:
            self._quota.spend()
        why = assessment.reasons.get(name) or f"{name.replace('_', ' ')} {score:.2f}"
        reason = (
            f"not kept: {closed}" if closed else why if above else "uniform audit" if keep else "below the threshold"
        )
        return Selection(keep=keep, probability=probability, reason=reason, policy=self._policy.policy)


class ThresholdPolicy:
    """The member of `edge.select` for a fixed threshold."""

    name = "threshold"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Threshold(policy, random)


POLICY = ThresholdPolicy()
