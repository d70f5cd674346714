"""Sedna's cross-entropy filter as a ranking; see `sedna`."""

from __future__ import annotations

import numpy as np

from central.learn.acquire import Pool
from central.learn.acquire.scores import order
from central.learn.acquire.strategies.sedna import mixed


class SednaCrossEntropy:
    """The cross-entropy filter."""

    name = "sedna-cross-entropy"
    about = "Sedna's cross-entropy filter, the hardest first"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return the `count` candidates of the largest entropy of scores."""
        return order(np.array([mixed(c) for c in pool.candidates]), count, pool.random())


ACQUISITION = SednaCrossEntropy()
