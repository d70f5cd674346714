"""A baseline: Sedna's image-box-threshold filter.

Hard is a frame where the boxes with a score of at most `BOX` make at least `1 - IMAGE` of all boxes
(kubeedge/sedna, ``lib/sedna/algorithms/hard_example_mining``, `IBTFilter`, defaults 0.5 and 0.5). A frame without a
box is never hard.
"""

from __future__ import annotations

from typing import Final

from edge.runtime import Inference
from edge.select.filter import FilterPolicy
from protocols.messages import Assessment

BOX: Final = 0.5
"""`threshold_box`."""
IMAGE: Final = 0.5
"""`threshold_img`."""


def hard(assessment: Assessment, inference: Inference | None) -> tuple[bool, str]:
    """Say whether the frame is hard by the share of weak boxes."""
    scores = [] if inference is None else [float(score) for score in inference.detections.scores]
    if not scores:
        return False, "no box"
    weak = sum(score <= BOX for score in scores)
    return weak / len(scores) >= 1.0 - IMAGE, f"{weak} of {len(scores)} boxes score {BOX} or less"


POLICY = FilterPolicy("sedna-ibt", hard)
