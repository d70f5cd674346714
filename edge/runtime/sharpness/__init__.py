"""How sharp a picture is, by many measures: one file each, all of them without labels and without torch.

A measure takes a picture and returns a number, higher for sharper. Each has a scale of its own; numbers of different
measures do not compare. `tiles` and `pack` are learned and need a model; the rest are from the literature.
"""

from __future__ import annotations

from typing import Protocol

from edge.runtime.prepare import Image
from protocols import slots


class Method(Protocol):
    """A member of this family."""

    name: str

    def score(self, image: Image) -> float:
        """Return the sharpness of a BGR or grey uint8 `image`; higher is sharper. Must not modify it."""
        ...


def methods() -> dict[str, Method]:
    """Return every measure that needs no model, by name."""
    return slots.members("edge.runtime.sharpness", "METHOD")
