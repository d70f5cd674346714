"""The best share of the boxes, less those that overlap a better one (MIST, Ren et al., CVPR 2020, algorithm 1)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float

SHARE: Final = 0.15
"""Of the boxes, as in the paper."""
APART: Final = 0.2
"""IoU from which two boxes are of one object."""
WORTH: Final = 0.25
"""Share of the best score below which a box stands for nothing: here images have one object more often than many."""


class Several:
    """The way."""

    name = "several"
    about = "the best boxes of each class that do not overlap"

    def choose(self, scores: Float, overlap: Float) -> NDArray[np.int64]:
        """Return them."""
        order = np.argsort(-scores, kind="stable")[: max(1, math.ceil(SHARE * len(scores)))]
        kept = [int(order[0])]
        for place in order[1:].tolist():
            if scores[place] >= WORTH * scores[kept[0]] and overlap[place, kept].max() < APART:
                kept.append(place)
        return np.array(kept, np.int64)


SEEDS = Several()
