"""Frames where a part of an object may pass for the whole, each unlike those before (box in box)."""

from __future__ import annotations

import numpy as np

from central.learn.acquire import Candidate, Pool
from central.learn.acquire.questions import expected_misses
from central.learn.discover.active.pairs import Detected, choose


def detected(candidate: Candidate) -> Detected:
    """Return a frame as pairs are looked for in it: every class that is detected may be there."""
    classes = candidate.classes
    return Detected(candidate.boxes, candidate.best, classes, candidate.features, frozenset(classes.tolist()))


class Parts:
    """By pairs of a small and a large detection; then by what is expected to be missed."""

    name = "parts"
    about = "a small detection inside a large one of its class: is it the whole object?"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return the indices."""
        count = min(count, len(pool.candidates))
        seen = {place: detected(candidate) for place, candidate in enumerate(pool.candidates)}
        found = choose(seen, count, pool.random())
        misses = np.array([expected_misses(c) for c in pool.candidates])
        taken = set(found)
        rest = [int(p) for p in np.argsort(-misses, kind="stable") if int(p) not in taken]
        return found + rest[: count - len(found)]


ACQUISITION = Parts()
