"""Choosing frames that differ: k-means++ seeding, k-medoids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from central.learn.acquire import Candidate, Floats

NOTHING: Final = 2.0
"""Distance of a box to a frame without any box of its class: the largest that a cosine distance can be."""
TURNS: Final = 100
"""Of the search for medoids, which ends earlier where nothing moves."""


def unit(points: Floats) -> Floats:
    """Return `points` ``[N, D]`` at unit length; zeros stay."""
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.maximum(length, 1e-9), np.float32)


def embeddings(candidates: Sequence[Candidate]) -> Floats:
    """Return the frames' embeddings ``[N, E]`` at unit length."""
    return unit(np.stack([c.embedding for c in candidates])) if candidates else np.zeros((0, 1), np.float32)


def plus_plus(points: Floats, count: int, random: np.random.Generator) -> list[int]:
    """Return `count` of `points` ``[N, D]`` by k-means++ seeding: the next by the square of the distance so far.

    Arthur and Vassilvitskii, SODA 2007. The longest is first, as in BADGE (Ash et al., ICLR 2020).
    """
    if not len(points):
        return []
    chosen = [int(np.argmax((points**2).sum(axis=1)))]
    square = ((points - points[chosen[0]]) ** 2).sum(axis=1).astype(np.float64)
    while len(chosen) < min(count, len(points)):
        square[chosen] = 0.0
        total = square.sum()
        if total <= 0:
            rest = [i for i in range(len(points)) if i not in set(chosen)]
            chosen += rest[: count - len(chosen)]
            break
        chosen.append(int(random.choice(len(points), p=square / total)))
        square = np.minimum(square, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return chosen[:count]


def _one_way(first: Candidate, second: Candidate, likeness: Floats) -> float:
    """Return the score-weighted mean over the boxes of `first` of the distance to the nearest like one of `second`."""
    if not len(first.best):
        return 0.0 if not len(second.best) else NOTHING
    apart = np.full(len(first.best), NOTHING, np.float32)
    for label in np.unique(first.classes):
        mine, theirs = first.classes == label, second.classes == label
        if theirs.any():
            apart[mine] = 1 - likeness[np.ix_(mine, theirs)].max(axis=1)
    return float((apart * first.best).sum() / max(float(first.best.sum()), 1e-9))


def by_class(candidates: Sequence[Candidate]) -> Floats:
    """Return the distances ``[N, N]`` between frames by what is on them, class by class (0..2).

    Category-conditioned matching similarity of PPAL (Yang, Huang and Crowley, CVPR 2024, section 3.3), as a distance.
    """
    features = [unit(c.features) if len(c.features) else c.features for c in candidates]
    count = len(candidates)
    apart = np.zeros((count, count), np.float32)
    for i in range(count):
        for j in range(i + 1, count):
            likeness = features[i] @ features[j].T if len(features[i]) and len(features[j]) else np.zeros((0, 0))
            there = _one_way(candidates[i], candidates[j], np.asarray(likeness, np.float32))
            back = _one_way(candidates[j], candidates[i], np.asarray(likeness, np.float32).T)
            apart[i, j] = apart[j, i] = (there + back) / 2
    return apart


def medoids(apart: Floats, count: int) -> list[int]:
    """Return `count` medoids of the distances ``[N, N]``: farthest-first, then moved until nothing changes."""
    size = len(apart)
    if count >= size:
        return list(range(size))
    chosen = [int(np.argmin(apart.sum(axis=1)))]
    while len(chosen) < count:
        nearest = apart[:, chosen].min(axis=1)
        nearest[chosen] = -1
        chosen.append(int(np.argmax(nearest)))
    for _ in range(TURNS):
        owner = np.argmin(apart[:, chosen], axis=1)
        moved = list(chosen)
        for place in range(count):
            own = np.flatnonzero(owner == place)
            if len(own):
                moved[place] = int(own[np.argmin(apart[np.ix_(own, own)].sum(axis=1))])
        if moved == chosen:
            break
        chosen = moved
    return chosen
