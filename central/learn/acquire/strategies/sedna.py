"""Sedna's hard-example filters as rankings: the hardest first. A baseline; their definitions are in `edge/select`.

kubeedge/sedna, ``lib/sedna/algorithms/hard_example_mining``: the quantity that each filter compares with its threshold,
over boxes of the score from which a node reports them. A frame without a box is never hard.
"""

from __future__ import annotations

from math import log
from typing import Final

from central.learn.acquire import Candidate
from central.learn.acquire.ranking import Ranking

REPORTED: Final = 0.25
"""Score from which a node reports a box."""
BOX: Final = 0.5


def weak(candidate: Candidate) -> float:
    """Return the share of weak boxes (`IBTFilter`), -1 without a box."""
    best = candidate.best[candidate.best >= REPORTED]
    return float((best <= BOX).mean()) if len(best) else -1.0


def mixed(candidate: Candidate) -> float:
    """Return what `CrossEntropyFilter` compares, turned round; -1 where it says nothing."""
    best = [float(p) for p in candidate.best if p >= REPORTED]
    return -sum(p * log(p) for p in best) / log(len(best)) if len(best) > 1 else -1.0


ACQUISITION = Ranking("sedna-ibt", "Sedna's image-box-threshold filter, the hardest first", weak)
