"""A baseline: Sedna's threshold filter.

Hard is a frame whose boxes have a mean score below 0.5 (kubeedge/sedna, ``lib/sedna/algorithms/hard_example_mining``,
`ThresholdFilter`, default 0.5). A frame without a box is never hard.
"""

from __future__ import annotations

from typing import Final

from edge.runtime import Inference
from edge.select.filter import FilterPolicy
from protocols.messages import Assessment

THRESHOLD: Final = 0.5


def hard(assessment: Assessment, inference: Inference | None) -> tuple[bool, str]:
    """Say whether the frame is hard by its mean score."""
    scores = [] if inference is None else [float(score) for score in inference.detections.scores]
    if not scores:
        return False, "no box"
    mean = sum(scores) / len(scores)
    return mean < THRESHOLD, f"mean score of {len(scores)} boxes {mean:.2f}"


POLICY = FilterPolicy("sedna-threshold", hard)
