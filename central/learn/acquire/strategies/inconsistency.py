"""Frames where a track vanished and came back, or changed its class."""

from __future__ import annotations

from central.learn.acquire import Pool
from central.learn.acquire.scores import gather, order


class Inconsistency:
    """What the node's tracker saw (temporal incoherence: Bengar et al., ICCV Workshops 2019)."""

    name = "inconsistency"
    about = "frames where a track vanished and came back, or changed class"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return the `count` most inconsistent candidates."""
        return order(gather(list(pool.candidates), "inconsistency"), count, pool.random())


ACQUISITION = Inconsistency()
