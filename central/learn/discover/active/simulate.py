"""Choosing images for boxes, and a person who answers from the truth.

Seven of ten are chosen by pairs of part and whole, two as a class is present and nothing stands for it, one by chance
(for figures without bias). ``entropy`` takes those of the largest summed entropy: what others found worse than chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.learn.discover.active.pairs import Detected, choose
from central.learn.discover.evaluate import APART
from central.learn.discover.fit import Judged
from edge.runtime import Float
from edge.runtime.nms import suppress

MIX: Final = (0.7, 0.2, 0.1)
"""Shares of the budget: pairs, missing, by chance."""
WEAK: Final = 0.1
"""Score from which a box is looked at."""

Seen = Mapping[int, Detected]
"""Images by place."""


def detected(judged: Judged, features: Float, labels: NDArray[np.int8], least: float = WEAK) -> Detected:
    """Return the detections of an image after suppression, as pairs are looked for in them.

    Scores are relative to the best of their class, as those of the heads are small where many boxes share them.
    """
    rows, columns = np.nonzero(judged.scores >= least * judged.scores.max(0, initial=1e-9))
    best = np.maximum(judged.scores.max(0, initial=0.0), 1e-9)
    flat = np.asarray(judged.scores[rows, columns] / best[columns], np.float32)
    kept = suppress(judged.boxes[rows], flat, columns.astype(np.int64), APART)
    present = frozenset(int(c) for c in np.flatnonzero(labels > 0))
    return Detected(
        judged.boxes[rows][kept], flat[kept], columns[kept].astype(np.int64), features[rows][kept], present
    )


def missing(judged: Judged, labels: NDArray[np.int8]) -> float:
    """Return how sure the image is of a class that no box stands for: the largest of 1 less the best score, 0..1."""
    present = np.flatnonzero(labels > 0)
    if not len(present):
        return 0.0
    best = judged.scores.max(0, initial=0.0) if len(judged.scores) else np.zeros(len(labels))
    return float((1 - best[present]).max())


def entropy(judged: Judged) -> float:
    """Return the summed entropy of the scores of an image's boxes, nats."""
    p = judged.scores.clip(1e-6, 1 - 1e-6)
    return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).sum())


def chosen(
    way: str, seen: Seen, judged: Sequence[Judged], labels: NDArray[np.int8], count: int,
    random: np.random.Generator,
) -> list[int]:  # fmt: skip
    """Return `count` images to draw the boxes of: by ``ours``, ``pairs``, ``entropy`` or ``random``."""
    places = sorted(seen)
    if way == "random":
        return [places[int(i)] for i in random.permutation(len(places))[:count]]
    if way == "entropy":
        return sorted(places, key=lambda p: -entropy(judged[p]))[:count]
    share = MIX[0] if way == "ours" else 1.0
    found = choose(seen, round(share * count), random)
    if way == "ours":
        wanted = sorted((p for p in places if p not in set(found)), key=lambda p: -missing(judged[p], labels[p]))
        found += wanted[: round(MIX[1] * count)]
    left = [p for p in places if p not in set(found)]
    return found + [left[int(i)] for i in random.permutation(len(left))[: count - len(found)]]
