"""The worst class: what is common must not be learned at the price of what is rare."""

from __future__ import annotations

from central.learn.gates import Evidence, Verdict
from central.learn.gates.losses import worst

LIMIT = 0.05
"""AP50 (0..1) that a class may certainly lose; as for a camera."""


class WorstClass:
    """Fails where a class that both packs know certainly lost more than the limit."""

    name = "worst_class"
    does = "AP50 that any one class certainly loses, of those that the pack before knew."
    unit = "AP50 lost"
    limit = LIMIT

    def judge(self, evidence: Evidence, limit: float) -> Verdict:
        """Judge each class that is not new."""
        if evidence.judgement is None:
            return Verdict(self.name, "not_enough", None, limit, "no held-back frame that a person answered")
        return worst(self.name, "class", [c for c in evidence.judgement.classes if not c.new], limit)


GATE = WorstClass()
