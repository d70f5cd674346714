"""Crashes: nodes that ended without being asked to, since they were offered the release."""

from __future__ import annotations

from central.releases.gates import Evidence, Verdict
from central.releases.halting import Rule, must_halt


class Crashes:
    """Fails where more nodes crashed than do for reasons of their own (a power cut is a crash as well)."""

    name = "crashes"
    does = "Nodes that crashed since they were offered the pack."
    unit = "share of nodes"
    limit: float | None = None
    required = False

    def judge(self, evidence: Evidence, limit: float, rule: Rule) -> Verdict:
        """Judge the nodes that count their crashes."""
        counted = [(n.node, n.crashes) for n in evidence.nodes if n.crashes is not None]
        if not counted:
            return Verdict(self.name, "not_enough", None, limit, "no node has counted its crashes yet")
        crashed = [(node, count) for node, count in counted if count > 0]
        share = len(crashed) / len(counted)
        halt = must_halt(len(crashed), len(counted), Rule(limit, rule.significance))
        reason = f"{len(crashed)} of {len(counted)} nodes crashed"
        if crashed:
            node, count = max(crashed, key=lambda each: each[1])
            reason += f"; {node} {count} times" if count > 1 else f"; {node} once"
        return Verdict(self.name, "fail" if halt else "pass", share, limit, reason)


GATE = Crashes()
