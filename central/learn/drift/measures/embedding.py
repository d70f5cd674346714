"""How the frames look: the energy distance between embeddings (Szekely and Rizzo 2013)."""

from __future__ import annotations

import numpy as np

from central.learn.drift import Array


def distances(values: Array) -> Array:
    """Return the distances ``[N, N]`` between `values` ``[N, D]``."""
    square = (values**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(square[:, None] + square[None] - 2 * values @ values.T, 0.0)))


class Energy:
    """E = 2 E|x - y| - E|x - x'| - E|y - y'|, over the mean distance: 0 for one distribution."""

    name = "embedding"
    about = "how the frames look (energy distance of their embeddings, over the mean distance)"
    field = "embedding"

    def apart(self, values: Array, first: Array, second: Array) -> Array:
        """Return ``[P]``."""
        between = distances(values)
        between /= max(float(between.mean()), 1e-12)
        # (a - b)' D (a - b) = a'Da - 2 a'Db + b'Db
        gap = (first - second).astype(np.float32)
        return np.asarray(-np.einsum("pn,pn->p", gap @ between.astype(np.float32), gap))


MEASURE = Energy()
