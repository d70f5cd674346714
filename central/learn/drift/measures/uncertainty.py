"""How sure the pack is."""

from __future__ import annotations

from central.learn.drift import Array
from central.learn.drift.ranked import kolmogorov_smirnov


class Uncertainty:
    """Kolmogorov and Smirnov's distance of the frames' uncertainty."""

    name = "uncertainty"
    about = "how unsure the pack is of a frame (Kolmogorov-Smirnov distance)"
    field = "uncertainty"

    def apart(self, values: Array, first: Array, second: Array) -> Array:
        """Return ``[P]``."""
        return kolmogorov_smirnov(values, first, second)


MEASURE = Uncertainty()
