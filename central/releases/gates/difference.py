"""Is one share really lower than another? From their intervals, not from their values.

The interval of a difference of two independent shares by their own intervals: square-and-add (Newcombe, Statistics in
Medicine 1998, method 10; for weighted samples Li, Tang and Wong 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from central.annotate.estimate import Interval


@dataclass(frozen=True)
class Difference:
    """After less before, -1..1, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f})"


def difference(before: Interval | None, after: Interval | None) -> Difference | None:
    """Return by how much the share changed; None where either is not known."""
    if before is None or after is None:
        return None
    value = after.value - before.value
    low = value - hypot(after.value - after.low, before.high - before.value)
    high = value + hypot(after.high - after.value, before.value - before.low)
    return Difference(value, max(-1.0, low), min(1.0, high))
