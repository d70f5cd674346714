"""Unlike anything that this camera showed before, by the pack's embedding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.assess import Score, Verdict
from edge.runtime import Inference
from edge.sources import Frame

MEMORY = 256
"""Views remembered; at 256 numbers each, a quarter of a megabyte."""
WARM_UP = 3
"""Frames before a distance means anything."""
USUAL_MEMORY = 200
"""Frames over which the usual distance is averaged."""
LEAST_USUAL = 1e-4
"""Cosine distance of two pictures of a still scene."""
NOVEL = 0.8
"""Score above which the reason is worth a word: more than three times the usual distance."""


class Memory:
    """Embeddings ``[n, D]`` of unit length, and how far a new one usually is from them."""

    def __init__(self, size: int) -> None:
        self._size, self._rows, self._next = size, np.zeros((0, 0), np.float32), 0
        self.usual, self.count = 0.0, 0

    def distance(self, embedding: NDArray[np.float32]) -> float | None:
        """Return the least cosine distance 0..2 to what is remembered; None where nothing is, or of another length."""
        if not len(self._rows) or self._rows.shape[1] != len(embedding):
            return None
        return max(0.0, 1.0 - float((self._rows @ embedding).max()))

    def learn(self, distance: float) -> None:
        """Take `distance` into the usual one."""
        self.count = min(self.count + 1, USUAL_MEMORY)
        self.usual += (distance - self.usual) / self.count

    def add(self, embedding: NDArray[np.float32]) -> None:
        """Remember `embedding`, instead of the oldest one where there is no room. Another length starts afresh."""
        if len(self._rows) and self._rows.shape[1] != len(embedding):
            self._rows, self._next, self.usual, self.count = np.zeros((0, 0), np.float32), 0, 0.0, 0
        if len(self._rows) < self._size:
            row = embedding[None].astype(np.float32)
            self._rows = np.vstack([self._rows, row]) if len(self._rows) else row
        else:
            self._rows[self._next] = embedding
            self._next = (self._next + 1) % self._size


class Novelty:
    """The views of one camera. Implements `Score`."""

    def __init__(self) -> None:
        self._memory = Memory(MEMORY)

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return how far the frame is from what was seen, relative to the usual, 0..1; None without an embedding."""
        if inference.embedding is None:
            return None
        distance = self._memory.distance(inference.embedding)
        value = 0.0
        if distance is not None:
            usual = max(LEAST_USUAL, self._memory.usual)
            value = 1.0 - float(np.exp(-distance / (2.0 * usual))) if self._memory.count >= WARM_UP else 0.0
            self._memory.learn(distance)
        if distance is None or distance >= self._memory.usual:  # only what widens the memory, so that it lasts
            self._memory.add(inference.embedding)
        return Verdict(value, f"unlike what this camera showed before ({value:.2f} of 1)" if value > NOVEL else "")


class NoveltyKind:
    """The member of `edge.assess` for new views."""

    name = "novelty"
    field = "novelty"

    def create(self) -> Score:
        """Return a fresh memory."""
        return Novelty()


SCORE = NoveltyKind()
