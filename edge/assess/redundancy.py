"""Like what was selected lately, by the pack's embedding. Says nothing before the first selection."""

from __future__ import annotations

import numpy as np

from edge.assess import Score, Verdict
from edge.assess.novelty import LEAST_USUAL, Memory
from edge.runtime import Inference
from edge.sources import Frame

LATELY = 64
"""Selected frames that are remembered: about an hour's at the usual quota."""
REDUNDANT = 0.8
"""Score above which the reason is worth a word."""


class Redundancy:
    """The frames selected of one camera. Implements `Score` and `edge.assess.Learner`."""

    def __init__(self) -> None:
        self._memory = Memory(LATELY)

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return how like the most similar selected frame this one is, relative to the usual, 0..1."""
        distance = None if inference.embedding is None else self._memory.distance(inference.embedding)
        if distance is None:
            return None
        self._memory.learn(distance)
        value = float(np.exp(-distance / max(LEAST_USUAL, self._memory.usual)))
        return Verdict(value, f"like a frame that was selected lately ({value:.2f} of 1)" if value > REDUNDANT else "")

    def selected(self, inference: Inference) -> None:
        """Remember a frame that was selected."""
        if inference.embedding is not None:
            self._memory.add(inference.embedding)


class RedundancyKind:
    """The member of `edge.assess` for repetition."""

    name = "redundancy"
    field = "redundancy"

    def create(self) -> Score:
        """Return a fresh memory."""
        return Redundancy()


SCORE = RedundancyKind()
