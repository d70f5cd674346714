"""The most doubtful detection of each frame decides."""

from __future__ import annotations

from central.learn.acquire.ranking import Ranking
from central.learn.acquire.scores import entropies, most

ACQUISITION = Ranking("entropy", "frames with the most doubtful detection", lambda c: most(entropies(c.scores)))
