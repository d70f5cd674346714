"""Installing: nodes that went back to the old pack, runs of another pack, and silence. P12's rule."""

from __future__ import annotations

from central.releases.gates import Evidence, Verdict
from central.releases.halting import Rule, must_halt

NAMED = 3
"""Nodes whose reasons are told; the rest is counted."""


class Install:
    """Fails where more nodes failed than fail for reasons of their own."""

    name = "install"
    does = "Nodes that failed to install the pack, or fell silent."
    unit = "share of nodes"
    limit: float | None = None
    required = True

    def judge(self, evidence: Evidence, limit: float, rule: Rule) -> Verdict:
        """Judge the failures among all nodes that were offered the release."""
        failed, judged = evidence.failed, evidence.judged
        share = failed / judged if judged else None
        if must_halt(failed, judged, Rule(limit, rule.significance)):
            return Verdict(self.name, "fail", share, limit, f"{failed} of {judged} nodes failed{self._why(evidence)}")
        if not judged or not evidence.settled:
            return Verdict(self.name, "not_enough", share, limit, f"{failed} of {judged} nodes failed so far")
        return Verdict(self.name, "pass", share, limit, f"{failed} of {judged} nodes failed")

    def _why(self, evidence: Evidence) -> str:
        failed = [n for n in evidence.nodes if n.state == "failed"]
        told = "; ".join(f"{n.node}: {n.reason or 'no reason given'}" for n in failed[:NAMED])
        more = len(failed) - NAMED
        return (f": {told}" + (f"; and {more} more" if more > 0 else "")) if told else ""


GATE = Install()
