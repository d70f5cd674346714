"""What a node thinks of a frame: one file per score.

A score is a small object with state of its own camera (what it saw lately) and one method. It gets the frame
and what the model said, and returns a number with its reason in words, or None where it has nothing to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edge.runtime import Inference
from edge.sources import Frame
from protocols import slots

SCORES = ("blur", "uncertainty", "inconsistency", "unexplained_motion", "novelty", "redundancy")
"""Fields of `protocols.messages.Assessment`, in the order in which they are computed."""


@dataclass(frozen=True)
class Verdict:
    """A score and, where it is worth a word, why."""

    value: float
    reason: str = ""


class Score(Protocol):
    """One score of one camera."""

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return the verdict on `frame`, or None. Called once per frame, in order. Must not modify the image."""
        ...


@runtime_checkable
class Learner(Protocol):
    """A score that also wants to know which frames were selected."""

    def selected(self, inference: Inference) -> None:
        """Take in a frame that was kept."""
        ...


class ScoreKind(Protocol):
    """A member of this family."""

    name: str
    field: str
    """Which of SCORES it fills."""

    def create(self) -> Score:
        """Return a fresh score for one camera."""
        ...


def kinds() -> dict[str, ScoreKind]:
    """Return every score by name."""
    return slots.members("edge.assess", "SCORE")
