"""The doubt of all detections together: crowded frames win, which is why it is a control and no default."""

from __future__ import annotations

import numpy as np

from central.learn.acquire import Pool
from central.learn.acquire.scores import entropies, order


class EntropySum:
    """Sum of the entropies."""

    name = "entropy-sum"
    about = "frames with the most doubt in all; crowded ones win"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return the `count` candidates of the largest sum."""
        return order(np.array([float(entropies(c.scores).sum()) for c in pool.candidates]), count, pool.random())


ACQUISITION = EntropySum()
