"""The doubt of all detections together: crowded frames win, which is why it is a control and no default."""

from __future__ import annotations

from central.learn.acquire.ranking import Ranking
from central.learn.acquire.scores import entropies

ACQUISITION = Ranking(
    "entropy-sum", "frames with the most doubt in all; crowded ones win", lambda c: float(entropies(c.scores).sum())
)
