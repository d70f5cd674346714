"""A baseline: the odds follow the doubt of the detector alone, as usual active learning has it.

Doubt is that of `Assessment.uncertainty`: class entropy (Shannon 1948) of each detection, aggregated over the frame
("uncertainty sampling", Lewis and Gale 1994). What was not detected has no entropy, so misses are never drawn but by
the audit.
"""

from __future__ import annotations

from random import Random

from edge.runtime import Inference
from edge.select import Selector
from edge.select.draw import Draw, Judgement
from edge.select.quota import Allowance
from edge.select.value import Running
from protocols.messages import Assessment, Policy


class Entropy:
    """Judges by doubt. Implements `edge.select.draw.Judge`."""

    def __init__(self, policy: Policy) -> None:
        self._share, self._usual = 1.0 - policy.audit_share, Running()

    def judge(self, assessment: Assessment, inference: Inference | None, allowance: Allowance) -> Judgement:
        """Return odds that grow with the square of the doubt, relative to the usual one."""
        doubt = (assessment.uncertainty or 0.0) ** 2
        self._usual.add(doubt)
        if self._usual.mean <= 0.0:
            return 0.0, "nothing is doubted"
        chosen = self._share * allowance.frames * allowance.gain * doubt / self._usual.mean
        return min(1.0, chosen), assessment.reasons.get("uncertainty") or "the model is unsure"

    def kept(self, inference: Inference | None) -> None:
        """Nothing to note."""


class EntropyPolicy:
    """The member of `edge.select` for doubt alone."""

    name = "entropy"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Draw(policy, random, Entropy(policy))


POLICY = EntropyPolicy()
