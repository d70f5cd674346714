"""Latency: how much longer one inference takes with the new pack, on the median node."""

from __future__ import annotations

from statistics import median

from central.releases.gates import Evidence, NodeEvidence, Verdict
from central.releases.halting import Rule

LIMIT = 1.3
LEAST_MS = 2.0
"""Milliseconds: a slowdown by less is the machine's noise, and no camera of 30 frames per second notices it."""


def _ratio(before: float, after: float) -> float:
    return after / before if after - before >= LEAST_MS or after <= before else 1.0


def ratio(node: NodeEvidence) -> float | None:
    """Return new over old: of the shadow run, which saw the same frames with both, and of the node's own figures since;
    the larger counts. None where there is neither."""
    found = []
    shadow = node.shadow
    if shadow is not None and shadow.latency_before_ms and shadow.latency_after_ms:
        found.append(_ratio(shadow.latency_before_ms, shadow.latency_after_ms))
    before, after = node.before.get("latency_p50_ms"), node.after.get("latency_p50_ms")
    if before and after and node.state == "healthy":
        found.append(_ratio(before, after))
    return max(found, default=None)


class Latency:
    """Fails where the median node is slowed down by more than the limit."""

    name = "latency"
    does = "How many times as long an inference takes, on the median node."
    unit = "times"
    limit: float | None = LIMIT
    required = False

    def judge(self, evidence: Evidence, limit: float, rule: Rule) -> Verdict:
        """Judge the median of all nodes that told."""
        ratios = {n.node: r for n in evidence.nodes if (r := ratio(n)) is not None}
        if not ratios:
            return Verdict(self.name, "not_enough", None, limit, "no node has told its latency with both packs yet")
        middle, slowest = median(ratios.values()), max(ratios, key=lambda name: ratios[name])
        reason = f"{middle:.2f} times as long on the median of {len(ratios)} nodes; {slowest}: {ratios[slowest]:.2f}"
        return Verdict(self.name, "fail" if middle > limit else "pass", middle, limit, reason)


GATE = Latency()
