"""Image-level tags from partial labels: present, absent, or unknown.

    images -> maps (backbone, once) -> TagNetwork -> a method's losses -> fold -> the tag head of a pack

A way to learn is one file in ``methods/`` that binds ``METHOD``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from central.learn.tags.config import TagsConfig
from central.learn.tags.network import TagNetwork
from protocols import slots

SLOT: Final = "central.learn.tags.methods"
ATTRIBUTE: Final = "METHOD"


@dataclass(frozen=True)
class Stage:
    """Where a training stands."""

    epoch: int
    """From 0."""
    progress: float
    """Within the epoch, 0..1."""
    rows: Tensor
    """Places ``[B]`` of the batch's images in the training set."""


@dataclass(frozen=True)
class Material:
    """What a learner may look at between epochs: the whole training set through the network as it is."""

    labels: Tensor
    """``[N, C]`` float: 1, -1, 0."""
    features: Tensor
    """``[N, C, D]``."""
    logits: Tensor
    """``[N, C]``."""


class Learner(nn.Module):
    """A method at work: its own weights, and what it remembers. The plain one learns from `cells` alone."""

    fast: tuple[str, ...] = ()
    """Prefixes of its weights that learn at a rate of their own (`fast_rate`), without decay."""
    fast_rate: float = 1e-3

    def before(self, epoch: int) -> bool:
        """Return whether it wants to `look` at the whole training set before `epoch`."""
        return False

    def look(self, epoch: int, material: Material) -> None:
        """Take in the training set as the network sees it before `epoch`."""

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        """Return the weighted losses of a batch by name: maps ``[B, c, h, w]``, labels ``[B, C]``."""
        raise NotImplementedError

    def settle(self) -> None:
        """Bring its weights back into their ranges after a step."""

    def pseudo(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the labels ``[B, C]`` with what each branch of it adds to them, by branch; none where it adds none."""
        return {}


class Method(Protocol):
    """A member: ``METHOD`` of a file in ``methods/``."""

    name: str
    about: str
    """One line: what becomes of unknown cells."""

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner for the training labels ``[N, C]`` (1, -1, 0)."""
        ...


def find(name: str) -> Method:
    """Return the method called `name`. Raises SlotError."""
    found: Method = slots.member(SLOT, ATTRIBUTE, name)
    return found


def ways() -> dict[str, Method]:
    """Return all methods by name."""
    return dict(slots.members(SLOT, ATTRIBUTE))


def generator(seed: int) -> torch.Generator:
    """Return a source of chance of its own."""
    return torch.Generator().manual_seed(seed)
