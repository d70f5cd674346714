"""What a frame is worth, composed of its scores.

Scores have no common unit, so each is taken relative to what this camera usually shows (a running mean and
deviation); what is far above the usual counts. Redundant and blurred frames are worth less, whatever else they show.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

from protocols.messages import Assessment

WEIGHTS = {"uncertainty": 1.0, "inconsistency": 1.5, "unexplained_motion": 1.5, "novelty": 1.0}
"""Missed and flickering objects are what the pack does not know; doubt often is only distance or darkness."""
FLOOR = 0.05
"""Worth of a frame where no score speaks: small, never zero, so that no frame is ruled out."""
MEMORY = 300
"""Frames over which the usual is remembered."""
WARM_UP = 5
"""Frames before a deviation means anything; until then every score counts by its own value."""
LEAST_DEVIATION = 0.05
"""Scores that hardly vary are not told apart by noise."""
HIGH_DEVIATIONS = 4.0
"""So far above the usual is as good as certain."""
DISCOUNTS = {"redundancy": 0.97, "blur": 0.8}
"""Share of its worth that an entirely redundant or entirely blurred frame loses. What repeats a kept frame teaches next
to nothing; blur is often only motion."""


@dataclass
class Running:
    """Mean and deviation over the last MEMORY values, forgetting exponentially."""

    count: int = 0
    mean: float = 0.0
    square: float = 0.0

    def add(self, value: float) -> None:
        """Take `value` in."""
        self.count = min(self.count + 1, MEMORY)
        self.mean += (value - self.mean) / self.count
        self.square += (value * value - self.square) / self.count

    def surprise(self, value: float) -> float:
        """Return how far `value` is above the usual, 0..1."""
        if self.count < WARM_UP:
            return min(1.0, max(0.0, value))
        deviation = max(LEAST_DEVIATION, sqrt(max(0.0, self.square - self.mean * self.mean)))
        return min(1.0, max(0.0, (value - self.mean) / deviation / HIGH_DEVIATIONS))


@dataclass
class Valuer:
    """Values the frames of one camera."""

    usual: dict[str, Running] = field(default_factory=lambda: {name: Running() for name in WEIGHTS})

    def value(self, assessment: Assessment) -> tuple[float, str]:
        """Return what the frame is worth (FLOOR..about 5) and the name of the score that says so, or an empty name."""
        total, best, strongest = FLOOR, 0.0, ""
        for name, weight in WEIGHTS.items():
            score: float | None = getattr(assessment, name)
            if score is None:
                continue
            part = weight * self.usual[name].surprise(score)
            self.usual[name].add(score)
            total += part
            if part > best:
                best, strongest = part, name
        for name, share in DISCOUNTS.items():
            discount: float | None = getattr(assessment, name)
            if discount is not None:
                total *= 1.0 - share * min(1.0, max(0.0, discount))
        return total, strongest
