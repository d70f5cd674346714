"""A baseline: whatever is above a fixed threshold is kept until the quota is used up; the audit share is drawn."""

from __future__ import annotations

from typing import Final

from edge.runtime import Inference
from edge.select.filter import FilterPolicy
from edge.select.value import WEIGHTS
from protocols.messages import Assessment

THRESHOLD: Final = 0.5
"""Every score is made so that this is its middle."""


def strongest(assessment: Assessment) -> tuple[str, float]:
    """Return the highest score that makes a frame worth keeping, by name; ("", 0) where there is none."""
    scores = {name: getattr(assessment, name) for name in WEIGHTS}
    given = {name: float(score) for name, score in scores.items() if score is not None}
    name = max(given, key=lambda key: given[key], default="")
    return name, given.get(name, 0.0)


def above(assessment: Assessment, inference: Inference | None) -> tuple[bool, str]:
    """Say whether the highest score is at THRESHOLD or above."""
    name, score = strongest(assessment)
    if score < THRESHOLD:
        return False, "below the threshold"
    return True, assessment.reasons.get(name) or f"{name.replace('_', ' ')} {score:.2f}"


POLICY = FilterPolicy("threshold", above)
