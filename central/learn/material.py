"""What a round has to learn from, looked at before it learns: what is new, what is past, and what is odd about it.

Everything that is left out or held down is said in a line, for the report of the round and for whoever started it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.learn.snapshot import Frozen, Labelled

MOST_OF_ONE: Final = 0.5
"""Largest share of the samples that may come from one of several nodes: a node that is broken, or in wrong hands, must
not make the pack of all others."""
FEW: Final = 5
"""Boxes of a class below which a round says that it will hardly learn it."""


class MaterialError(ValueError):
    """Labels that no round can be run on. The text says why, and what to do."""


@dataclass(frozen=True)
class Material:
    """Frames labelled since the pack that a round starts from, those before, and what is odd about them."""

    new: tuple[Labelled, ...]
    past: tuple[Labelled, ...]
    notes: tuple[str, ...]


def gather(frozen: Frozen, seen: frozenset[str], labels: tuple[str, ...], again: bool = False) -> Material:
    """Return what `frozen` holds for training, `seen` being the frames that the last pack was trained on.

    `again`: learn even though nothing is new. Raises MaterialError.
    """
    training = frozen.training
    if not any(item.labels or item.complete_for for item in training):
        counts = f"{len(frozen.items)} labelled frames, {len(training)} of them for training"
        raise MaterialError(f"nothing to learn from: {counts}; label more")
    new = tuple(item for item in training if item.frame not in seen)
    past = tuple(item for item in training if item.frame in seen)
    if not new:
        if not again:
            raise MaterialError(
                f"nothing was labelled since the last pack, which knows all {len(past)} frames; label more, or ask for "
                "it again"
            )
        new, past = past, ()
    return Material(new, past, tuple(_notes(training, labels)))


def _notes(training: Sequence[Labelled], labels: tuple[str, ...]) -> list[str]:
    """Return what is odd about `training`."""
    boxes = Counter(label for item in training for label, w in zip(item.labels, item.weights, strict=True) if w > 0)
    notes = []
    gone = {label: count for label, count in boxes.items() if label not in labels}
    if gone:
        listed = ", ".join(f"{label} {count}" for label, count in sorted(gone.items()))
        notes.append(f"boxes of classes that the profile does not have were left out: {listed}")
    known = {label: boxes.get(label, 0) for label in labels}
    if sum(count > 0 for count in known.values()) == 1:
        only = next(label for label, count in known.items() if count)
        notes.append(f"all boxes are of one class, {only}; the others stay as they were, as well as may be")
    scarce = [f"{label} {count}" for label, count in known.items() if 0 < count < FEW]
    if scarce:
        notes.append(f"too few boxes to learn much from: {', '.join(scarce)}")
    return notes


def hold_down(
    cameras: Sequence[str], shares: NDArray[np.float64], most: float = MOST_OF_ONE
) -> tuple[NDArray[np.float64], list[str]]:
    """Return `shares` in which no node has more than `most` of the samples where there are others, and what was done.

    `cameras` are ``node/camera``, one for each share.
    """
    nodes = np.array([camera.partition("/")[0] for camera in cameras])
    names, total = np.unique(nodes), shares.sum()
    if len(names) < 2 or not total:
        return shares, []
    held, notes = shares / total, []
    for name in names:
        own = nodes == name
        share = float(held[own].sum())
        if share > most:  # at most one can have more than half
            held = np.where(own, held * most / share, held * (1 - most) / (1 - share))
            notes.append(f"node {name} has {share:.0%} of the samples and counts for {most:.0%}")
    return np.asarray(held, np.float64), notes
