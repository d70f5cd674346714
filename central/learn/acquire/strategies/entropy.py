"""The most doubtful detection of each frame decides."""

from __future__ import annotations

import numpy as np

from central.learn.acquire import Pool
from central.learn.acquire.scores import entropies, most, order


class Entropy:
    """Largest entropy of any detection."""

    name = "entropy"
    about = "frames with the most doubtful detection"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return the `count` candidates of the largest entropy."""
        return order(np.array([most(entropies(c.scores)) for c in pool.candidates]), count, pool.random())


ACQUISITION = Entropy()
