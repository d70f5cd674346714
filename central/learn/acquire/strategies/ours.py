"""What a second of a person's time brings: evidence of mistakes over the seconds that answering takes, spread out.

Evidence is the share of a frame's doubt that answering removes: detections between yes and no, classes alike,
tracks that break, motion that nobody explains. Frames are then taken one by one; what is like a frame already taken, or
like one that was answered, brings the less the more alike it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.learn.acquire import Candidate, Floats, Pool
from central.learn.acquire.distances import embeddings, unit
from central.learn.acquire.questions import seconds
from central.learn.acquire.scores import gather, margins, ranks
from central.learn.acquire.strategies.ppal import uncertainty, weights

PARTS: Final = {"doubt": 0.4, "inconsistency": 0.25, "unexplained_motion": 0.2, "margin": 0.15}
"""Weights of the ranks; what no node said counts for nobody, and its weight goes to the rest."""
BLURRED: Final = 0.8
"""Blur from which a frame teaches little; it counts a tenth."""
LITTLE: Final = 0.05
"""Worth of a frame that nothing speaks for: another scene is worth more than the same doubt twice."""
DEAR: Final = 1.5
"""How far cost may move the worth either way: mistakes are what takes long to mend."""
APART_S: Final = 2.0
"""Frames of one camera closer than this tell the same, whatever they look like."""
MIDDLE: Final = 8
"""Frames below which their mean says nothing of what they have in common."""
ANSWERED: Final = 0.5
"""How much likeness to what was answered counts beside likeness to what is asked now."""


def value(pool: Pool) -> Floats:
    """Return the worth of each candidate ``[N]``, 0..1, before anything else is asked."""
    candidates = list(pool.candidates)
    weight = weights(pool.quality)
    known = {
        "doubt": np.array([_doubt(c, weight) for c in candidates], np.float32),
        "margin": np.array([float(margins(c.scores).max(initial=0.0)) for c in candidates], np.float32),
        "inconsistency": gather(candidates, "inconsistency"),
        "unexplained_motion": gather(candidates, "unexplained_motion"),
    }
    said = {name: PARTS[name] for name, values in known.items() if np.ptp(values) > 0} if candidates else {}
    total = np.zeros(len(candidates), np.float32)
    for name, share in said.items():
        total += share / sum(said.values()) * ranks(known[name])
    blurred = gather(candidates, "blur") > BLURRED
    return np.asarray(np.where(blurred, 0.1 * total, total), np.float32)


def _doubt(candidate: Candidate, weight: Floats) -> float:
    """Return the doubt of a frame per detection to look at: the sum would only find crowds."""
    return float(uncertainty(candidate, weight) / np.sqrt(1 + len(candidate.best)))


class Ours:
    """Worth per second, with diversity."""

    name = "ours"
    about = "evidence of mistakes per second of a person's time, spread over scenes and cameras"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return `count` candidates, each the best after those before it."""
        candidates = pool.candidates
        if not candidates:
            return []
        cost = np.array([seconds(c) for c in candidates])
        worth = (value(pool) + LITTLE) / np.clip(np.sqrt(cost / cost.mean()), 1 / DEAR, DEAR)
        points, answered = _apart(embeddings(candidates), embeddings(pool.labelled))
        alike = np.zeros(len(candidates))
        if len(answered):
            alike = ANSWERED * _overlap((points @ answered.T).max(axis=1))
        ties = pool.random().random(len(candidates)) * 1e-6
        chosen: list[int] = []
        while len(chosen) < min(count, len(candidates)):
            gain = worth * (1 - alike) + ties
            gain[chosen] = -np.inf
            chosen.append(int(np.argmax(gain)))
            alike = np.maximum(alike, _overlap(points @ points[chosen[-1]]))
            alike[_neighbours(candidates, chosen[-1])] = 0.99
        return chosen


def _apart(points: Floats, answered: Floats) -> tuple[Floats, Floats]:
    """Return both at unit length around the mean of all.

    A small network's embeddings all point the same way: only what is left beside that tells two scenes apart.
    """
    every = np.concatenate([points, answered]) if len(answered) else points
    if len(every) < MIDDLE:
        return points, answered
    middle = every.mean(axis=0, keepdims=True)
    return unit(points - middle), unit(answered - middle) if len(answered) else answered


def _overlap(cosine: Floats) -> NDArray[np.float64]:
    """Return how much of what a frame would tell is told by another one at this cosine, 0..0.99."""
    return np.clip(np.asarray(cosine, np.float64), 0.0, 0.99)


def _neighbours(candidates: Sequence[Candidate], index: int) -> list[int]:
    one = candidates[index]
    return [i for i, c in enumerate(candidates) if c.camera == one.camera and abs(c.time - one.time) < APART_S]


ACQUISITION = Ours()
