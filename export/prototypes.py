"""What a training set covers, in a few embeddings: greedy k-centre, so that rare scenes get one too.

The farthest-first traversal of Gonzalez (1985): no frame of the set is farther from its prototype than twice the
optimum.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from export.parity import Run

COUNT: Final = 64
"""Prototypes of a pack: 16 KB at 64 dimensions."""
SAMPLE: Final = 512
"""Frames that are embedded at most."""
EMBEDDING: Final = "embedding"


def embeddings(run: Run, inputs: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the embeddings ``[N, D]`` (unit length) that `run` gives for prepared images uint8 ``[1, 3, H, W]``.

    Empty where the network has none.
    """
    found = []
    for pixels in inputs:
        outputs = run(pixels)
        if EMBEDDING not in outputs:
            break
        found.append(np.asarray(outputs[EMBEDDING], np.float32).reshape(-1))
    return np.array(found, np.float32) if found else np.zeros((0, 0), np.float32)


def k_centre(points: NDArray[np.float32], count: int, centres: NDArray[np.float32] | None = None) -> list[int]:
    """Return which `count` of `points` ``[N, D]`` (unit length) to take: each the farthest (cosine) from `centres` and
    those before it. Without centres the most central point is first.

    Also the greedy core set of Sener and Savarese (ICLR 2018).
    """
    if not len(points):
        return []
    chosen: list[int] = []
    if centres is not None and len(centres):
        nearest = (points @ centres.T).max(axis=1)
    else:
        chosen.append(int(np.argmax(points @ points.mean(axis=0))))
        nearest = points @ points[chosen[0]]
    nearest[chosen] = np.inf
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, points @ points[chosen[-1]])
        nearest[chosen] = np.inf
    return chosen[:count]


def choose(points: NDArray[np.float32], count: int = COUNT) -> NDArray[np.float32]:
    """Return up to `count` of `points` ``[N, D]`` (unit length) that cover the rest; the first is the most central."""
    return points[k_centre(points, count)] if len(points) else points
