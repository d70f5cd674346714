"""A baseline: every frame has the same odds under the quotas, whatever it shows."""

from __future__ import annotations

from random import Random

from edge.runtime import Inference
from edge.select import Selector
from edge.select.draw import Draw, Judgement
from edge.select.quota import Allowance
from protocols.messages import Assessment, Policy


class Uniform:
    """Judges all alike. Implements `edge.select.draw.Judge`."""

    def __init__(self, policy: Policy) -> None:
        self._share = 1.0 - policy.audit_share

    def judge(self, assessment: Assessment, inference: Inference | None, allowance: Allowance) -> Judgement:
        """Return the odds that the quotas give; scores are not looked at."""
        return min(1.0, self._share * allowance.frames * allowance.gain), "drawn uniformly"

    def kept(self, inference: Inference | None) -> None:
        """Nothing to note."""


class UniformPolicy:
    """The member of `edge.select` for the uniform draw."""

    name = "uniform"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Draw(policy, random, Uniform(policy))


POLICY = UniformPolicy()
