"""Learning more without forgetting: what runs now, what is new, what is remembered, and how they become the next pack.

    Task (teacher, new frames, past frames) -> Strategy.prepare -> Lesson -> a training run -> metrics of forgetting

memory.py chooses what is replayed, pseudo.py fills in what nobody labelled, tutor.py holds on to what the teacher says,
lowrank.py keeps an update small; each strategy in ``strategies/`` puts some of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from central.learn.data import Example
from central.learn.families import Tutor
from protocols import slots

DEFAULT: Final = "replay-distil"
NEW_SHARE: Final = 0.5
"""Share of the samples that are new frames; the rest is replay."""


@dataclass(frozen=True)
class Memory:
    """How much of the past is replayed: at most so many `frames` and `bytes` of images; None is without bound."""

    frames: int | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Task:
    """What a strategy works on. Classes of all examples are indices into `labels`."""

    teacher: Any
    """The network that runs now, in evaluation mode; its ``config.labels`` are the classes that it knows."""
    labels: tuple[str, ...]
    """Classes of the network to be, those of the teacher among them where they are still wanted."""
    new: Sequence[Example]
    """Frames labelled since the teacher was trained."""
    past: Sequence[Example] = ()
    """Frames that the teacher was trained on, as far as they are kept, each camera's in the order of time."""
    memory: Memory = field(default_factory=Memory)
    seed: int = 0

    @property
    def known(self) -> tuple[str, ...]:
        """Classes that teacher and pupil share, in the pupil's order."""
        return tuple(label for label in self.labels if label in self.teacher.config.labels)


@dataclass(frozen=True)
class Lesson:
    """What a training run is given: examples drawn by `shares`, a tutor to listen to, and what may learn."""

    examples: list[Example]
    shares: NDArray[np.float64]
    tutor: Tutor | None = None
    train: Literal["all", "heads", "heads+norms", "low-rank"] = "all"
    fresh: bool = False
    """Whether it starts where the first round did rather than from the teacher."""
    remembered: int = 0
    """Frames of the past among the examples."""
    guessed: int = 0
    """Boxes among the labels that the teacher put there."""


class Strategy(Protocol):
    """A member: ``STRATEGY`` of a file in ``strategies``."""

    name: str
    about: str
    """One line for ``--help`` and reports."""

    def prepare(self, task: Task) -> Lesson:
        """Return what to train on. Pure but for reading images."""
        ...


def strategy(name: str) -> Strategy:
    """Return the strategy called `name`. Raises SlotError, which lists those that there are."""
    found: Strategy = slots.member("central.learn.incremental.strategies", "STRATEGY", name)
    return found


def strategies() -> dict[str, Strategy]:
    """Return all strategies by name."""
    return slots.members("central.learn.incremental.strategies", "STRATEGY")


def drawn(new: Sequence[Example], past: Sequence[Example]) -> NDArray[np.float64]:
    """Return how often each of `new`, then of `past`, is drawn: half of the samples are new, half are replay."""
    if not new or not past:
        return np.ones(len(new) + len(past))
    shares = [NEW_SHARE / len(new)] * len(new) + [(1 - NEW_SHARE) / len(past)] * len(past)
    return np.array(shares)
