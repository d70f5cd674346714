"""Doubt weighed by how hard each class is, then diversity by what is on the frames.

Yang, Huang and Crowley, "Plug and Play Active Learning for Object Detection", CVPR 2024: difficulty-calibrated
uncertainty (section 3.2), then category-conditioned matching similarity with k-medoids (section 3.3).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from central.learn.acquire import Candidate, Floats, Pool
from central.learn.acquire.distances import by_class, medoids
from central.learn.acquire.scores import entropies, order

ALPHA: Final = 0.3
BETA: Final = 0.2
KEPT: Final = 4
"""Times the budget that the first stage leaves for the second."""


def weights(quality: Floats) -> Floats:
    """Return the weight of each class: 1 where `quality` ``[C]`` is 1, 1 + BETA where it is 0."""
    hard = 1 - np.clip(np.asarray(quality, np.float64), 0, 1)
    return np.asarray(1 + ALPHA * np.log(1 + math.expm1(1 / ALPHA) * hard) * BETA, np.float32)


def uncertainty(candidate: Candidate, weight: Floats) -> float:
    """Return the sum of the detections' entropies, each by the `weight` ``[C]`` of its class."""
    return float((entropies(candidate.scores) * weight[candidate.classes]).sum()) if len(candidate.best) else 0.0


class Ppal:
    """Both stages."""

    name = "ppal"
    about = "doubt by difficulty of the class, then k-medoids by content (PPAL)"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return `count` candidates."""
        weight = weights(pool.quality)
        doubt = np.array([uncertainty(c, weight) for c in pool.candidates])
        kept = order(doubt, KEPT * count, pool.random())
        chosen = medoids(by_class([pool.candidates[i] for i in kept]), count)
        return sorted((kept[i] for i in chosen), key=lambda i: -doubt[i])


ACQUISITION = Ppal()
