"""Ways to choose that give each frame a worth of its own and take the highest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from central.learn.acquire import Candidate, Pool
from central.learn.acquire.scores import order


@dataclass(frozen=True)
class Ranking:
    """The frames of the highest `worth`; ties are broken by chance."""

    name: str
    about: str
    worth: Callable[[Candidate], float]

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return the `count` candidates of the highest worth."""
        return order(np.array([self.worth(c) for c in pool.candidates]), count, pool.random())
