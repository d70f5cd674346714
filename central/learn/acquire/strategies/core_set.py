"""Frames that are far from everything labelled, and from each other."""

from __future__ import annotations

from central.learn.acquire import Pool
from central.learn.acquire.distances import embeddings
from export.prototypes import k_centre


class CoreSet:
    """k-centre greedy on the frames' embeddings."""

    name = "core-set"
    about = "frames that cover the rest (k-centre on embeddings)"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return `count` candidates, each the farthest from all before it."""
        return k_centre(embeddings(pool.candidates), count, embeddings(pool.labelled) if pool.labelled else None)


ACQUISITION = CoreSet()
