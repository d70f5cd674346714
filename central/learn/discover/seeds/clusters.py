"""Centres of clusters of good boxes (PCL, Tang et al., TPAMI 2020, section 3.3).

The best of three clusters of the scores; a graph of what overlaps; the node of most neighbours is a centre and leaves
with them, and so on.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float

CLUSTERS: Final = 3
TOUCHING: Final = 0.4
"""IoU from which two boxes are neighbours."""
MOST: Final = 5
"""Centres per class."""
TURNS: Final = 20
"""Of k-means, which ends earlier where nothing moves."""


def top(scores: Float) -> NDArray[np.int64]:
    """Return the places of the highest of CLUSTERS clusters of `scores` ``[N]`` by k-means."""
    centres = np.quantile(scores, np.linspace(0, 1, CLUSTERS)).astype(np.float64)
    for _ in range(TURNS):
        own = np.abs(scores[:, None] - centres).argmin(1)
        new = np.array([scores[own == k].mean() if (own == k).any() else centres[k] for k in range(CLUSTERS)])
        if np.allclose(new, centres):
            break
        centres = new
    own = np.abs(scores[:, None] - centres).argmin(1)
    return np.flatnonzero(own == own[scores.argmax()])


class Clusters:
    """The way."""

    name = "clusters"
    about = "centres of clusters of good boxes"

    def choose(self, scores: Float, overlap: Float) -> NDArray[np.int64]:
        """Return the centres, those of the best scores first."""
        left = top(scores)
        kept: list[int] = []
        while len(left) and len(kept) < MOST:
            near = overlap[np.ix_(left, left)] > TOUCHING
            degree = near.sum(1) + 1e-3 * scores[left]
            centre = int(degree.argmax())
            kept.append(int(left[centre]))
            gone = near[centre].copy()
            gone[centre] = True
            left = left[~gone]
        return np.array(sorted(kept, key=lambda place: -float(scores[place])), np.int64)


SEEDS = Clusters()
