"""Sedna's cross-entropy filter as a ranking; see `sedna`."""

from __future__ import annotations

from central.learn.acquire.ranking import Ranking
from central.learn.acquire.strategies.sedna import mixed

ACQUISITION = Ranking("sedna-cross-entropy", "Sedna's cross-entropy filter, the hardest first", mixed)
