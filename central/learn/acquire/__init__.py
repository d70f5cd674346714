"""Which of the frames that wait are worth a person's time next, and what to ask about them.

    frames that wait -> look (the running network, once over each) -> Candidate -> Acquisition.choose -> Question

Each way to choose is one file in ``strategies/``; all of them see the same `Pool`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from protocols import slots

Floats = NDArray[np.float32]
DEFAULT: Final = "ours"
LEAST: Final = 0.05
"""Score from which a detection is looked at (METHODS of the literature agree on 0.05)."""


@dataclass(frozen=True)
class Candidate:
    """A frame, as the running network sees it. N detections after suppression, of scores from LEAST on.

    boxes ``[N, 4]`` xyxy in input pixels; scores ``[N, C]`` 0..1; features ``[N, D]`` of each detection; spread ``[N]``
    standard deviation of its sides as a share of its size; embedding ``[E]`` of the frame, unit length. `evidence` is
    what its node said beside: ``inconsistency``, ``unexplained_motion``, ``novelty``, ``blur`` (all 0..1, missing
    where not computed).
    """

    frame: str
    camera: str
    time: float
    boxes: Floats
    scores: Floats
    features: Floats
    spread: Floats
    embedding: Floats
    evidence: dict[str, float] = field(default_factory=dict)

    @property
    def best(self) -> Floats:
        """The best class score of each detection, ``[N]``."""
        return np.asarray(self.scores.max(axis=1, initial=0.0), np.float32)

    @property
    def classes(self) -> NDArray[np.int64]:
        """The best class of each detection, ``[N]``."""
        return np.asarray(self.scores.argmax(axis=1), np.int64) if len(self.scores) else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Pool:
    """What can be asked about, what was answered, and how well each class is known (``[C]``, 0..1)."""

    candidates: Sequence[Candidate]
    labelled: Sequence[Candidate]
    quality: Floats
    seed: int = 0

    def random(self) -> np.random.Generator:
        """Return a generator that is the same for the same pool."""
        return np.random.default_rng((self.seed, len(self.candidates), len(self.labelled)))


class Acquisition(Protocol):
    """A member: ``ACQUISITION`` of a file in ``strategies``."""

    name: str
    about: str

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return the indices of `count` candidates (all where there are fewer), the most wanted first."""
        ...


def acquisition(name: str) -> Acquisition:
    """Return the way to choose called `name`. Raises SlotError, which lists those that there are."""
    found: Acquisition = slots.member("central.learn.acquire.strategies", "ACQUISITION", name)
    return found


def acquisitions() -> dict[str, Acquisition]:
    """Return all of them by name."""
    return slots.members("central.learn.acquire.strategies", "ACQUISITION")
