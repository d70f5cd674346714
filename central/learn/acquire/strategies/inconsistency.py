"""Frames where a track vanished and came back, or changed its class, as the node's tracker saw.

Temporal incoherence: Bengar et al., ICCV Workshops 2019.
"""

from __future__ import annotations

from central.learn.acquire.ranking import Ranking

ACQUISITION = Ranking(
    "inconsistency", "frames where a track vanished and came back, or changed class",
    lambda c: c.evidence.get("inconsistency", 0.0),
)  # fmt: skip
