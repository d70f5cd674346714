"""Frames where something moved that no detection covers: an empty prediction is not a certain one."""

from __future__ import annotations

from central.learn.acquire.ranking import Ranking

ACQUISITION = Ranking(
    "missed", "frames where something moved that no detection covers",
    lambda c: c.evidence.get("unexplained_motion", 0.0),
)  # fmt: skip
