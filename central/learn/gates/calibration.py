"""Calibration: nodes choose frames, and people trust boxes, by scores; a pack whose scores lie misleads both."""

from __future__ import annotations

from central.learn.gates import Evidence, Outcome, Verdict

LIMIT = 0.1
"""Rise of the expected calibration error (0..1): scores that are off by a tenth more than before still sort well."""


class Calibration:
    """Fails where scores are certainly further from what is right than before, by more than the limit."""

    name = "calibration"
    does = "Rise of the expected calibration error: how far scores are from the share of boxes that are right."
    unit = "rise of the error"
    limit = LIMIT

    def judge(self, evidence: Evidence, limit: float) -> Verdict:
        """Judge all classes together."""
        found = evidence.judgement.calibration if evidence.judgement is not None else None
        if found is None:
            return Verdict(self.name, "not_enough", None, limit, "no detections of both packs to compare")
        text = f"error {found.before:.3f} before, {found.after:.3f} after"
        if found.span is None:
            return Verdict(self.name, "not_enough", found.change, limit, f"{text}; too few frames to be certain")
        text += f", change {found.change:+.3f} ({found.span[0]:+.3f} to {found.span[1]:+.3f})"
        outcome: Outcome = "fail" if found.span[0] > limit else "pass" if found.span[1] < limit else "not_enough"
        return Verdict(self.name, outcome, found.change, limit, text)


GATE = Calibration()
