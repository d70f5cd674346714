"""Latency: how much longer one inference takes than with the pack before, on this machine, both in turns."""

from __future__ import annotations

from central.learn.gates import Evidence, Outcome, Verdict

LIMIT = 1.3
"""Times as long: what the nodes' own gate allows, too; fewer frames per second than that, people notice."""
LEAST_MS = 2.0
"""Milliseconds: a slowdown by less is the machine's noise."""


class Latency:
    """Fails where the new pack certainly takes more than the limit times as long."""

    name = "latency"
    does = "How many times as long an inference takes as with the pack before, measured here in turns."
    unit = "times"
    limit = LIMIT

    def judge(self, evidence: Evidence, limit: float) -> Verdict:
        """Judge the median over frames of the ratio of both times."""
        timing = evidence.timing
        if timing is None:
            return Verdict(self.name, "not_enough", None, limit, "no frame to measure it on")
        text = f"{timing.before_ms:.1f} ms before, {timing.after_ms:.1f} ms after, {timing.ratio:.2f} times"
        if timing.after_ms - timing.before_ms < LEAST_MS:
            return Verdict(self.name, "pass", timing.ratio, limit, text)
        if timing.span is None:
            return Verdict(self.name, "not_enough", timing.ratio, limit, f"{text}; too few frames to be certain")
        text += f" ({timing.span[0]:.2f} to {timing.span[1]:.2f})"
        outcome: Outcome = "fail" if timing.span[0] > limit else "pass" if timing.span[1] < limit else "not_enough"
        return Verdict(self.name, outcome, timing.ratio, limit, text)


GATE = Latency()
