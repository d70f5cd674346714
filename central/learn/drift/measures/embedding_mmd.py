"""How the frames look: maximum mean discrepancy (Gretton et al., JMLR 2012) with a Gaussian kernel."""

from __future__ import annotations

import numpy as np

from central.learn.drift import Array
from central.learn.drift.measures.embedding import distances


class Discrepancy:
    """MMD^2 with the median distance as the kernel's width: finer than the energy distance, blinder to far things."""

    name = "embedding_mmd"
    about = "how the frames look (maximum mean discrepancy of their embeddings)"
    field = "embedding"

    def apart(self, values: Array, first: Array, second: Array) -> Array:
        """Return ``[P]``, 0..2."""
        between = distances(values)
        width = max(float(np.median(between[np.triu_indices(len(between), 1)])), 1e-12)
        kernel = np.exp(-((between / width) ** 2) / 2)
        gap = (first - second).astype(np.float32)
        return np.asarray(np.einsum("pn,pn->p", gap @ kernel.astype(np.float32), gap))


MEASURE = Discrepancy()
