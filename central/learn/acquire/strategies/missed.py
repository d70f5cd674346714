"""Frames where something moved that no detection covers."""

from __future__ import annotations

from central.learn.acquire import Pool
from central.learn.acquire.scores import gather, order


class Missed:
    """Unexplained motion: an empty prediction is not a certain one."""

    name = "missed"
    about = "frames where something moved that no detection covers"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return the `count` candidates of the most unexplained motion."""
        return order(gather(list(pool.candidates), "unexplained_motion"), count, pool.random())


ACQUISITION = Missed()
