"""The worst camera: a pack that is better on average may be blind at one crossing."""

from __future__ import annotations

from central.learn.gates import Evidence, Verdict
from central.learn.gates.losses import worst

LIMIT = 0.05
"""AP50 (0..1) that a camera may certainly lose: what seeds alone move a camera of some twenty frames by."""


class WorstCamera:
    """Fails where a camera certainly lost more than the limit, in view of how many cameras there are."""

    name = "worst_camera"
    does = "AP50 that any one camera certainly loses, on its held-back frames."
    unit = "AP50 lost"
    limit = LIMIT

    def judge(self, evidence: Evidence, limit: float) -> Verdict:
        """Judge each camera over the classes that both packs know."""
        if evidence.judgement is None:
            return Verdict(self.name, "not_enough", None, limit, "no held-back frame that a person answered")
        return worst(self.name, "camera", evidence.judgement.cameras, limit)


GATE = WorstCamera()
