"""Parity: does each kind of device compute what the pack was made with? A fault of one backend hides in the whole."""

from __future__ import annotations

from collections import Counter

from central.releases.gates import Evidence, NodeEvidence, Verdict
from central.releases.halting import Rule, must_halt

CHECKING = "checking"


def differs(node: NodeEvidence) -> bool:
    """Whether the device did not pass the check of the pack."""
    return node.state == "failed" and (node.failed_step == CHECKING or node.reason.startswith(f"{CHECKING}:"))


class Parity:
    """Fails where the devices of any one backend compute something else, more often than by accident."""

    name = "parity"
    does = "Devices that compute something else than the pack says, by backend."
    unit = "share of the nodes of the worst backend"
    limit: float | None = None
    required = False

    def judge(self, evidence: Evidence, limit: float, rule: Rule) -> Verdict:
        """Judge each backend by itself."""
        checked = [n for n in evidence.nodes if n.reached or differs(n)]
        if not checked:
            return Verdict(self.name, "not_enough", None, limit, "no node has checked the pack yet")
        total = Counter(n.backend for n in checked)
        wrong = Counter(n.backend for n in checked if differs(n))
        worst = max(total, key=lambda backend: (wrong[backend] / total[backend], total[backend]))
        share, named = wrong[worst] / total[worst], worst or "an unnamed backend"
        for backend, count in wrong.items():
            if must_halt(count, total[backend], Rule(limit, rule.significance)):
                first = next(n for n in checked if n.backend == backend and differs(n))
                reason = (
                    f"{count} of {total[backend]} nodes with {backend or named} differ; {first.node}: {first.reason}"
                )
                return Verdict(self.name, "fail", share, limit, reason)
        reason = f"{sum(wrong.values())} of {len(checked)} nodes differ" + (f", most with {named}" if wrong else "")
        return Verdict(self.name, "pass", share, limit, reason)


GATE = Parity()
