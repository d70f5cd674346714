"""How like two places are: by how their frames look and by what is on them.

All frames are embedded by one network, as those of different networks cannot be compared:

    H = E / 2 E|x - y|       E = 2 E|x - y| - E|x - x'| - E|y - y'|
    J = Jensen-Shannon divergence of the shares of the classes, base 2
    likeness = (1 - H) (1 - J)

H is the energy distance (Szekely and Rizzo 2013) over its largest value: 0 for one place, 1 for places that have
nothing in common. Every number here lies within 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAST: Final = 4
"""Frames of a place below which nothing is said about it."""


@dataclass(frozen=True)
class Place:
    """What is known of one place: embeddings ``[N, D]`` of its frames, and boxes by class."""

    name: str
    embeddings: Array
    boxes: Mapping[str, int]
    frames: int = 0
    """Frames that its pack was trained on; those embedded are a sample."""


@dataclass(frozen=True)
class Likeness:
    """How like the training frames of a pack are to the frames at hand. None: it cannot be said."""

    pack: str
    name: str
    likeness: float | None
    images: float | None
    """1 - H: how alike the frames look."""
    labels: float | None
    """1 - J: how alike the shares of the classes are."""
    frames: int
    reason: str


def energy_share(a: Array, b: Array) -> float:
    """Return H of ``[N, D]`` and ``[M, D]``, 0..1; the means within leave a point's distance to itself out."""
    across = float(_distances(a, b).mean())
    if across <= 0:
        return 0.0
    within = _within(a) + _within(b)
    return min(1.0, max(0.0, (2 * across - within) / (2 * across)))


def _distances(a: Array, b: Array) -> Array:
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def _within(a: Array) -> float:
    return float(_distances(a, a).sum() / max(1, len(a) * (len(a) - 1)))


def label_share(a: Mapping[str, int], b: Mapping[str, int]) -> float | None:
    """Return the Jensen-Shannon divergence (Lin 1991), 0..1, of two counts by class; None where one is empty."""
    names = sorted({*a, *b})
    p, q = (np.array([float(counts.get(name, 0)) for name in names]) for counts in (a, b))
    if not p.sum() or not q.sum():
        return None
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2

    def bits(x: Array) -> float:
        there = x > 0
        return float((x[there] * np.log2(x[there] / middle[there])).sum())

    return min(1.0, max(0.0, (bits(p) + bits(q)) / 2))


def likeness(pack: str, there: Place, here: Place) -> Likeness:
    """Return how like `there`, what the pack at address `pack` was trained on, is to `here`."""
    if min(len(there.embeddings), len(here.embeddings)) < LEAST:
        why = f"fewer than {LEAST} of its training frames are kept here"
        return Likeness(pack, there.name, None, None, None, there.frames, why)
    images = 1.0 - energy_share(there.embeddings, here.embeddings)
    apart = label_share(there.boxes, here.boxes)
    labels = None if apart is None else 1.0 - apart
    total = images * (1.0 if labels is None else labels)
    said = "" if labels is None else f", classes {labels:.2f}"
    return Likeness(pack, there.name, total, images, labels, there.frames, f"{there.name}: frames {images:.2f}{said}")
