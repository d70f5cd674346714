"""For finding what the pack does not see: odds by unexplained motion and inconsistency alone.

An empty prediction is not a certain one: doubt and novelty say nothing of an object without a box, but it moves where
nothing was detected, or its box was there a moment ago.
"""

from __future__ import annotations

from random import Random
from typing import Final

from edge.runtime import Inference
from edge.select import Selector
from edge.select.budget import NAMES
from edge.select.draw import Draw, Judgement
from edge.select.quota import Allowance
from edge.select.value import Running
from protocols.messages import Assessment, Policy

SCORES: Final = ("unexplained_motion", "inconsistency")
SHARPNESS: Final = 2.0
"""Power of the evidence: weak motion is often a shadow or a branch, and there is much of it."""
FLOOR: Final = 0.001
"""Worth of a frame without evidence: small, never zero, so that no frame is ruled out."""


def evidence(assessment: Assessment) -> tuple[float, str]:
    """Return how surely something was missed, 0..1, either score being enough, and the score that says most of it."""
    scores = {name: min(1.0, max(0.0, getattr(assessment, name) or 0.0)) for name in SCORES}
    return 1.0 - (1.0 - scores[SCORES[0]]) * (1.0 - scores[SCORES[1]]), max(scores, key=lambda name: scores[name])


class Missed:
    """Judges by evidence of missed objects. Implements `edge.select.draw.Judge`."""

    def __init__(self, policy: Policy) -> None:
        self._share, self._usual = 1.0 - policy.audit_share, Running()

    def judge(self, assessment: Assessment, inference: Inference | None, allowance: Allowance) -> Judgement:
        """Return odds in proportion to the evidence, sharpened."""
        sure, name = evidence(assessment)
        worth = FLOOR + sure**SHARPNESS
        self._usual.add(worth)
        chosen = self._share * allowance.frames * allowance.gain * worth / self._usual.mean
        why = assessment.reasons.get(name) or (NAMES[name] if sure > 0 else "nothing stands out")
        return min(1.0, chosen), why

    def kept(self, inference: Inference | None) -> None:
        """Nothing to note."""


class MissedPolicy:
    """The member of `edge.select` for missed objects."""

    name = "missed"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Draw(policy, random, Missed(policy))


POLICY = MissedPolicy()
