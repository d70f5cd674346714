"""Score shift: by how much the scores of reported boxes moved; thresholds everywhere rest on them."""

from __future__ import annotations

from central.releases.gates import Evidence, Verdict
from central.releases.gates.agreement import LEAST_FRAMES
from central.releases.halting import Rule

LIMIT = 0.15


class ScoreShift:
    """Fails where the new pack is much surer of itself, or much less sure, than the old one was."""

    name = "score_shift"
    does = "By how much the mean score of the boxes moved, either way, in the shadow runs."
    unit = "score"
    limit: float | None = LIMIT
    required = False

    def judge(self, evidence: Evidence, limit: float, rule: Rule) -> Verdict:
        """Judge the mean over all frames that had boxes."""
        shifts = [
            (n.shadow.frames, n.shadow.score_shift)
            for n in evidence.nodes
            if n.shadow is not None and n.shadow.score_shift is not None
        ]
        frames = sum(count for count, _ in shifts)
        if frames < LEAST_FRAMES:
            text = f"{frames} frames with boxes were compared; {LEAST_FRAMES} are needed"
            return Verdict(self.name, "not_enough", None, limit, text)
        mean = sum(count * shift for count, shift in shifts) / frames
        reason = f"scores moved by {mean:+.3f} on {frames} frames of {len(shifts)} nodes"
        return Verdict(self.name, "fail" if abs(mean) > limit else "pass", mean, limit, reason)


GATE = ScoreShift()
