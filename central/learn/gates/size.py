"""Size: what each node has to fetch, over links that are paid by the byte."""

from __future__ import annotations

from central.learn.gates import Evidence, Verdict

MEGABYTE = 1_000_000
LIMIT = 32.0
"""Megabytes: some four minutes at a megabit per second, the slowest link that a camera is worth."""


class Size:
    """Fails where an update has more megabytes than the limit."""

    name = "size"
    does = "Megabytes that a node with the pack before fetches: the delta, or the whole pack where there is none."
    unit = "megabytes"
    limit = LIMIT

    def judge(self, evidence: Evidence, limit: float) -> Verdict:
        """Judge the delta, or the pack."""
        whole = evidence.pack_bytes / MEGABYTE
        if evidence.delta_bytes is None:
            value, text = whole, f"the whole pack, {whole:.3f} MB; no shorter delta"
        else:
            value = evidence.delta_bytes / MEGABYTE
            text = f"a delta of {value:.3f} MB; the whole pack has {whole:.3f} MB"
        return Verdict(self.name, "fail" if value > limit else "pass", value, limit, text)


GATE = Size()
