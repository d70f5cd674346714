"""Doubt and difference at once: gradients of the class loss, as if the best class were right, chosen far apart.

Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", ICLR 2020; here the mean gradient
of the strongest detections of a frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from central.learn.acquire import Candidate, Floats, Pool
from central.learn.acquire.distances import plus_plus, unit

STRONGEST: Final = 20
"""Detections of a frame that count."""


def gradient(candidate: Candidate, width: int) -> Floats:
    """Return the mean of ``(p - onehot(best)) x feature`` over the strongest detections, ``[width]``; 0 for none."""
    if not len(candidate.best):
        return np.zeros(width, np.float32)
    top = np.argsort(-candidate.best, kind="stable")[:STRONGEST]
    scores = candidate.scores[top]
    error = scores - (np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None])
    outer = error[:, :, None] * unit(candidate.features[top])[:, None, :]
    return np.asarray(outer.mean(axis=0).reshape(-1), np.float32)


class Badge:
    """k-means++ seeding on gradients."""

    name = "badge"
    about = "frames of large and different gradients (BADGE)"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return `count` candidates."""
        known = next((c for c in pool.candidates if len(c.best)), None)
        if known is None:
            return [int(i) for i in pool.random().permutation(len(pool.candidates))[:count]]
        width = known.scores.shape[1] * known.features.shape[1]
        return plus_plus(np.stack([gradient(c, width) for c in pool.candidates]), count, pool.random())


ACQUISITION = Badge()
