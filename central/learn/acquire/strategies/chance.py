"""By chance: what every other way has to beat."""

from __future__ import annotations

from central.learn.acquire import Pool


class Chance:
    """Any frame is as good as any other."""

    name = "random"
    about = "by chance"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return `count` candidates by chance."""
        return [int(i) for i in pool.random().permutation(len(pool.candidates))[:count]]


ACQUISITION = Chance()
