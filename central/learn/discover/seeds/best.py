"""The best box alone (OICR, Tang et al., CVPR 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float


class Best:
    """The way."""

    name = "best"
    about = "the best box of each class"

    def choose(self, scores: Float, overlap: Float) -> NDArray[np.int64]:
        """Return it."""
        return np.array([int(scores.argmax())], np.int64)


SEEDS = Best()
