"""How much is seen."""

from __future__ import annotations

from central.learn.drift import Array
from central.learn.drift.ranked import wasserstein


class Detections:
    """Wasserstein distance of the detections per frame."""

    name = "detections"
    about = "detections per frame (Wasserstein distance, in standard deviations)"
    field = "detections"

    def apart(self, values: Array, first: Array, second: Array) -> Array:
        """Return ``[P]``."""
        return wasserstein(values, first, second)


MEASURE = Detections()
