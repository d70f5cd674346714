"""The default: worth decides the odds, chance decides the frame, the quotas decide how many.

    chosen = (1 - audit_share) x frames allowed x gain of the buckets x worth / mean worth

Worth is what the scores say (`edge.select.value`), less where the scene is still much as it was in the last kept frame
(`edge.select.spacing`). The mean is the one over time, so that a street's quiet hours leave their quota to its busy
ones, as far as the bucket of the tightest quota reaches.
"""

from __future__ import annotations

from random import Random
from typing import Final

from edge.runtime import Inference
from edge.select import Selector
from edge.select.draw import Draw, Judgement
from edge.select.quota import LONGEST_STEP_S, Allowance
from edge.select.spacing import OverTime, Spacing
from edge.select.value import Valuer
from protocols.messages import Assessment, Policy

NAMES: Final = {
    "uncertainty": "the model is unsure",
    "inconsistency": "detections flicker between frames",
    "unexplained_motion": "something moves where nothing was detected",
    "novelty": "unlike what was seen before",
}
"""Said where a score gave no reason of its own."""
WORTH_MEMORY_S: Final = 1800.0
"""Seconds over which the mean worth, and the usual change, are taken."""


class Budget:
    """Judges by worth. Implements `edge.select.draw.Judge`."""

    def __init__(self, policy: Policy) -> None:
        self._share = 1.0 - policy.audit_share
        self._valuer, self._mean = Valuer(), OverTime(WORTH_MEMORY_S)
        self._spacing = Spacing(policy.min_gap_s, WORTH_MEMORY_S)

    def judge(self, assessment: Assessment, inference: Inference | None, allowance: Allowance) -> Judgement:
        """Return the odds in proportion to what the frame is worth, and the score that says most of it."""
        worth, strongest = self._valuer.value(assessment)
        worth *= self._spacing.factor(None if inference is None else inference.embedding, allowance)
        usual = self._mean.add(worth, min(allowance.seconds, LONGEST_STEP_S))
        chosen = self._share * allowance.frames * allowance.gain * worth / usual
        why = assessment.reasons.get(strongest) or NAMES.get(strongest, "nothing stands out")
        return min(1.0, chosen), why

    def kept(self, inference: Inference | None) -> None:
        """Begin the way to the next frame."""
        self._spacing.kept()


class BudgetPolicy:
    """The member of `edge.select` for the composed, randomised draw."""

    name = "budget"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Draw(policy, random, Budget(policy))


POLICY = BudgetPolicy()
