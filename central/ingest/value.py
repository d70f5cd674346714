"""Which frame a person should see first: one number from what the node thought of it."""

from __future__ import annotations

from typing import Final

from protocols.messages import AUDIT_REASON, Assessment, FrameMessage

WEIGHTS: Final[dict[str, float]] = {
    "uncertainty": 0.7,
    "inconsistency": 0.6,
    "unexplained_motion": 0.6,
    "novelty": 0.5,
}
"""The most that each score alone may bring (0..1). Doubt about what was seen comes first, as an answer settles it;
novelty last, as new is not yet useful."""
REDUNDANCY: Final = 0.5
"""Share that a frame just like one chosen lately loses: its answer teaches little more."""
BASE: Final = 0.05
"""Of a frame that no score spoke for, an audit frame for instance; still asked, when nothing else waits."""


RANDOM_DIGITS: Final = 12
"""Last hexadecimal digits of a frame's id, which are drawn by chance."""


def priority(message: FrameMessage) -> float:
    """Return the priority for review, 0..1, of a frame as it arrives.

    Frames of the uniform audit are asked in random order among the others: those that were answered so far are then
    a fair sample of all, which the estimates of field accuracy rest on. All others are asked by their value."""
    if message.selection.reason == AUDIT_REASON:
        return float(int(message.id[-RANDOM_DIGITS:], 16) / 16**RANDOM_DIGITS)
    return value(message.assessment)


def value(assessment: Assessment) -> float:
    """Return the priority for review, 0..1.

    Scores are taken as evidence that the frame is worth an answer, each independent of the others: one minus the
    product of the doubts. So two fair reasons outweigh one good one, and none can push it above 1. Scores that were
    not computed say nothing.
    """
    doubt = 1.0 - BASE
    for name, weight in WEIGHTS.items():
        score: float | None = getattr(assessment, name)
        if score is not None:
            doubt *= 1.0 - weight * min(1.0, max(0.0, score))
    same = min(1.0, max(0.0, assessment.redundancy or 0.0))
    return (1.0 - doubt) * (1.0 - REDUNDANCY * same)
