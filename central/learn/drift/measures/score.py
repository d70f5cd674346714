"""How high detections score."""

from __future__ import annotations

from central.learn.drift import Array
from central.learn.drift.ranked import kolmogorov_smirnov


class Score:
    """Kolmogorov and Smirnov's distance of the mean score of a frame's detections."""

    name = "score"
    about = "how high detections score (Kolmogorov-Smirnov distance)"
    field = "score"

    def apart(self, values: Array, first: Array, second: Array) -> Array:
        """Return ``[P]``."""
        return kolmogorov_smirnov(values, first, second)


MEASURE = Score()
