"""The default: worth decides the odds, chance decides the frame, the quota decides how many.

    p = 1 - (1 - audit) (1 - chosen)      one draw, so p is exactly the probability of being kept
    audit  = audit_share x quota          the same for every frame, whatever its scores
    chosen = (1 - audit_share) x quota x worth / mean worth x gain of the bucket

`quota` is the number of frames allowed for the time that the frame stands for. Where the gap or the quota rules a
frame out, p is zero and says so.
"""

from __future__ import annotations

from random import Random

from edge.select import Selector
from edge.select.quota import Quota
from edge.select.value import Running, Valuer
from protocols.messages import Assessment, Policy, Selection

NAMES = {
    "uncertainty": "the model is unsure",
    "inconsistency": "detections flicker between frames",
    "unexplained_motion": "something moves where nothing was detected",
    "novelty": "unlike what was seen before",
}
"""Said where a score gave no reason of its own."""


class Budget:
    """Draws by worth under a quota. Implements `Selector`."""

    def __init__(self, policy: Policy, random: Random) -> None:
        self._policy, self._random = policy, random
        self._quota, self._valuer, self._worth = Quota(policy), Valuer(), Running()

    def decide(self, assessment: Assessment, now: float) -> Selection:
        """Return the decision; `Selection.probability` is that of keeping this frame given all that came before."""
        allowed = self._quota.step(now)
        worth, strongest = self._valuer.value(assessment)
        self._worth.add(worth)
        closed = self._quota.closed()
        if closed:
            return self._selection(False, 0.0, f"not kept: {closed}")
        audit = min(1.0, self._policy.audit_share * allowed)
        relative = worth / self._worth.mean * self._quota.gain()
        chosen = min(1.0, (1.0 - self._policy.audit_share) * allowed * relative)
        probability = 1.0 - (1.0 - audit) * (1.0 - chosen)
        draw = self._random.random()
        why = assessment.reasons.get(strongest) or NAMES.get(strongest, "nothing stands out")
        if draw >= probability:
            return self._selection(False, probability, f"not drawn ({probability:.1%}): {why}")
        self._quota.spend()
        return self._selection(True, probability, "uniform audit" if draw < audit else why)

    def _selection(self, keep: bool, probability: float, reason: str) -> Selection:
        return Selection(keep=keep, probability=probability, reason=reason, policy=self._policy.policy)


class BudgetPolicy:
    """The member of `edge.select` for the composed, randomised draw."""

    name = "budget"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Budget(policy, random)


POLICY = BudgetPolicy()
