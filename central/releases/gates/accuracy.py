"""Audited field accuracy: old pack against new, on the same cameras, decided by the interval of the difference."""

from __future__ import annotations

from central.releases.gates import Evidence, Verdict
from central.releases.gates.difference import difference
from central.releases.halting import Rule

LIMIT = 0.05
"""Share of the objects, or of the reported boxes: a loss that may go unproven. Fewer points need many more answers."""


class Accuracy:
    """Fails where it is certain (95 %) that the new pack finds less, or is right less often; passes where it is certain
    that it does not lose more than the limit; and else waits for more answers of people."""

    name = "accuracy"
    does = "Share of the objects found, and of the boxes that are right, by people's answers about chance frames."
    unit = "share lost"
    limit: float | None = LIMIT
    required = False

    def judge(self, evidence: Evidence, limit: float, rule: Rule) -> Verdict:
        """Judge what was found and what was right; the worse counts."""
        pair = evidence.overall
        if pair is None:
            return Verdict(self.name, "not_enough", None, limit, "looked up when the wave has settled")
        kinds = {
            "found": difference(pair.found_before, pair.found_after),
            "right": difference(pair.right_before, pair.right_after),
        }
        known = {kind: change for kind, change in kinds.items() if change is not None}
        if not known:
            text = "too few reviewed chance frames of the old or the new pack; review more of the uniform audit"
            return Verdict(self.name, "not_enough", None, limit, text)
        told = "; ".join(f"{kind} {change}" for kind, change in known.items())
        loss = max(-change.value for change in known.values())
        if any(change.high < 0 for change in known.values()):
            return Verdict(self.name, "fail", loss, limit, f"certainly worse: {told}")
        if len(known) == len(kinds) and all(change.low > -limit for change in known.values()):
            return Verdict(
                self.name, "pass", loss, limit, f"certainly no more than {100 * limit:.0f} points lost: {told}"
            )
        return Verdict(self.name, "not_enough", loss, limit, f"not certain yet: {told}")


GATE = Accuracy()
