"""A baseline: Sedna's cross-entropy filter.

Hard is a frame with ``1 + sum(p ln p) / ln(n) < 0.5`` over its n class scores p (kubeedge/sedna,
``lib/sedna/algorithms/hard_example_mining``, `CrossEntropyFilter`, default 0.5). The class scores of a detector's frame
are those of its boxes. A frame without a box is never hard; nor is one with a single box, where the formula divides by
zero.
"""

from __future__ import annotations

from math import log
from typing import Final

from edge.runtime import Inference
from edge.select.filter import FilterPolicy
from protocols.messages import Assessment

THRESHOLD: Final = 0.5
"""`threshold_cross_entropy`."""


def hard(assessment: Assessment, inference: Inference | None) -> tuple[bool, str]:
    """Say whether the frame is hard by the entropy of its scores."""
    scores = [] if inference is None else [float(score) for score in inference.detections.scores]
    if len(scores) < 2:
        return False, "fewer than two boxes"
    confidence = 1.0 + sum(score * log(score) for score in scores if score > 0.0) / log(len(scores))
    return confidence < THRESHOLD, f"confidence by cross-entropy {confidence:.2f}"


POLICY = FilterPolicy("sedna-cross-entropy", hard)
