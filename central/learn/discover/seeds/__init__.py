"""Which boxes of an image stand for a class that is present: one way per file.

    scores [N] of one class, boxes [N, 4] -> seeds [S]: places of boxes, the best first
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float
from protocols import slots

SLOT: Final = "central.learn.discover.seeds"
ATTRIBUTE: Final = "SEEDS"


class Member(Protocol):
    """``SEEDS`` of a file in this folder."""

    name: str
    about: str

    def choose(self, scores: Float, overlap: Float) -> NDArray[np.int64]:
        """Return the seeds of one class from its scores ``[N]`` (0..1, N at least 1) and the IoU ``[N, N]``."""
        ...


def find(name: str) -> Member:
    """Return the way called `name`. Raises SlotError."""
    found: Member = slots.member(SLOT, ATTRIBUTE, name)
    return found


def ways() -> Mapping[str, Member]:
    """Return all ways by name."""
    return slots.members(SLOT, ATTRIBUTE)
