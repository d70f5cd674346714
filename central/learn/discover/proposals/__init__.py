"""Boxes that may hold something, whatever it is: one way to find them per file.

    image (and its camera) -> each chosen way -> scores by rank -> union -> NMS -> at most LIMIT boxes, best first

``motion`` needs a fixed camera, ``features`` a trunk, ``detector`` a pack; ``classical`` and ``windows`` need nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from edge.runtime import Float
from edge.runtime.nms import suppress
from edge.runtime.prepare import Image
from protocols import slots

SLOT: Final = "central.learn.discover.proposals"
ATTRIBUTE: Final = "PROPOSALS"
LIMIT: Final = 300
"""Boxes of one image: heads and memory grow with them, recall hardly (METHODS of the literature have 300 to 2000)."""
SAME: Final = 0.7
"""IoU from which two boxes count as one."""


class ProposalError(ValueError):
    """A way to find boxes that cannot be used. The text says which, why, and what to do."""


class Boxes(NamedTuple):
    """boxes ``[N, 4]`` xyxy in pixels of the image, scores ``[N]`` 0..1, best first."""

    boxes: Float
    scores: Float


NOTHING: Final = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True)
class Kit:
    """What ways to find boxes may need."""

    cameras: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """The images of each fixed camera, in the order of time."""
    trunk: Any = None
    """A `central.learn.discover.trunk.Look`."""
    pack: str = ""
    """A pack: folder, file or ``base``."""


class Opened(Protocol):
    """A way to find boxes, ready."""

    key: str
    """Differs where its boxes would."""

    def propose(self, image: Image, camera: str, path: Path | None) -> Boxes:
        """Return boxes in a BGR image ``[H, W, 3]``; `camera` is empty where it is from none that stands still."""
        ...


class Member(Protocol):
    """``PROPOSALS`` of a file in this folder."""

    name: str
    about: str

    def open(self, kit: Kit) -> Opened:
        """Return it ready. Raises ProposalError."""
        ...


def find(name: str) -> Member:
    """Return the way called `name`. Raises SlotError."""
    found: Member = slots.member(SLOT, ATTRIBUTE, name)
    return found


def ways() -> Mapping[str, Member]:
    """Return all ways by name."""
    return slots.members(SLOT, ATTRIBUTE)


def ranked(boxes: Float, scores: Float, limit: int = LIMIT, same: float = SAME) -> Boxes:
    """Return `boxes` without those like a better one, best first, at most `limit`. Those without area are left out."""
    solid = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 1.0 if len(boxes) else np.zeros(0, bool)
    boxes, scores = boxes[solid], scores[solid]
    if not len(boxes):
        return NOTHING
    kept = suppress(boxes, scores, np.zeros(len(boxes), np.int64), same, limit)
    return Boxes(boxes[kept].astype(np.float32), scores[kept].astype(np.float32))


def union(parts: Sequence[Boxes], limit: int = LIMIT) -> Boxes:
    """Return the boxes of all `parts`, whose scores have scales of their own: they take turns by rank.

    Of ways that find few boxes all come early; those that find many fill what is left.
    """
    boxes = [p.boxes for p in parts if len(p.boxes)]
    if not boxes:
        return NOTHING
    turns = np.concatenate([1.0 / (1.0 + np.arange(len(b), dtype=np.float32)) for b in boxes])
    return ranked(np.concatenate(boxes), turns, limit)


class Several:
    """Several ways as one."""

    def __init__(self, opened: Sequence[Opened], limit: int = LIMIT) -> None:
        self.opened, self.limit = opened, limit
        self.key = f"{limit} " + " + ".join(o.key for o in opened)

    def propose(self, image: Image, camera: str, path: Path | None) -> Boxes:
        """Return what all of them find."""
        return union([o.propose(image, camera, path) for o in self.opened], self.limit)


def several(names: Sequence[str], kit: Kit, limit: int = LIMIT) -> Several:
    """Return the ways `names` as one. Raises SlotError, ProposalError."""
    if not names:
        raise ProposalError(f"no way to find boxes is named; there are {', '.join(ways())}")
    return Several([find(name).open(kit) for name in names], limit)
