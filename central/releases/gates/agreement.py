"""Agreement: the share of boxes that both packs report on the same live frames."""

from __future__ import annotations

from central.releases.gates import Evidence, Verdict
from central.releases.halting import Rule

LIMIT = 0.5
"""A round that learned something changes boxes; one that halves them broke something."""
LEAST_FRAMES = 20
"""Frames, of all nodes together, below which nothing is said."""


class Agreement:
    """Fails where the new pack sees something else than the old one."""

    name = "agreement"
    does = "Boxes that both packs report, as a share of the boxes of both, in the shadow runs."
    unit = "share of boxes"
    limit: float | None = LIMIT
    required = False

    def judge(self, evidence: Evidence, limit: float, rule: Rule) -> Verdict:
        """Judge the mean over all frames that had boxes."""
        seen = [n.shadow for n in evidence.nodes if n.shadow is not None and n.shadow.agreement is not None]
        frames = sum(s.frames for s in seen)
        if frames < LEAST_FRAMES:
            text = f"{frames} frames with boxes were compared; {LEAST_FRAMES} are needed"
            return Verdict(self.name, "not_enough", None, limit, text)
        mean = sum(s.frames * (s.agreement or 0.0) for s in seen) / frames
        before, after = (sum(getattr(s, name) for s in seen) for name in ("boxes_before", "boxes_after"))
        reason = f"{mean:.2f} on {frames} frames of {len(seen)} nodes; {before} boxes before, {after} after"
        return Verdict(self.name, "fail" if mean < limit else "pass", mean, limit, reason)


GATE = Agreement()
