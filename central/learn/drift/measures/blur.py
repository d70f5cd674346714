"""How sharp the frames are."""

from __future__ import annotations

from central.learn.drift import Array
from central.learn.drift.ranked import wasserstein


class Blur:
    """Wasserstein distance of the frames' blur."""

    name = "blur"
    about = "how blurred the frames are (Wasserstein distance, in standard deviations)"
    field = "blur"

    def apart(self, values: Array, first: Array, second: Array) -> Array:
        """Return ``[P]``."""
        return wasserstein(values, first, second)


MEASURE = Blur()
