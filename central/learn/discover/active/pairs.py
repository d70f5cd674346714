"""Box in box: images where a part of an object passes for the whole (Vo et al., "Active learning strategies for weakly
supervised object detection", ECCV 2022).

A pair is a small and a large detection of one present class, the small one mostly inside the large one. Images are
chosen by k-means++ over pairs, so that the mistakes that are asked about differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float

COVERED: Final = 0.8
"""Share of the small box that lies in the large one (not their IoU)."""
LARGER: Final = 3.0
"""Area of the large box over that of the small one, at least."""
MOST: Final = 8
"""Pairs of one image that stand for it in the choice, those of the best scores: crowded frames must not weigh more."""
LEAST: Final = 0.1
"""Score from which a detection of a present class counts."""


@dataclass(frozen=True)
class Detected:
    """One image: boxes ``[N, 4]`` xyxy, scores ``[N]``, classes ``[N]``, features ``[N, D]``; `present` classes."""

    boxes: Float
    scores: Float
    classes: NDArray[np.int64]
    features: Float
    present: frozenset[int]


def coverage(small: Float, large: Float) -> Float:
    """Return the share ``[N, M]`` (0..1) of each of `small` ``[N, 4]`` that lies in each of `large` ``[M, 4]``."""
    low = np.maximum(small[:, None, :2], large[None, :, :2])
    high = np.minimum(small[:, None, 2:], large[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area = np.clip(small[:, 2:] - small[:, :2], 0, None).prod(1)
    return np.asarray(shared / np.maximum(area[:, None], 1e-9), np.float32)


def pairs(found: Detected) -> NDArray[np.int64]:
    """Return the pairs ``[P, 2]`` (small, large) of an image."""
    if not len(found.boxes):
        return np.zeros((0, 2), np.int64)
    area = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(1)
    counted = (found.scores > LEAST) & np.isin(found.classes, list(found.present))
    good = (coverage(found.boxes, found.boxes) >= COVERED) & (area[None] >= LARGER * area[:, None])
    good &= (found.classes[:, None] == found.classes[None]) & counted[:, None] & counted[None]
    np.fill_diagonal(good, False)
    return np.argwhere(good).astype(np.int64)


def described(found: Detected, own: NDArray[np.int64]) -> Float:
    """Return the features ``[P, 2 D]`` of pairs: those of both boxes."""
    return np.asarray(np.concatenate([found.features[own[:, 0]], found.features[own[:, 1]]], axis=1), np.float32)


def strongest(found: Detected, own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the MOST pairs of `own` ``[P, 2]`` whose scores are best."""
    return own[np.argsort(-found.scores[own].sum(1), kind="stable")[:MOST]]


def choose(
    images: Mapping[int, Detected], count: int, random: np.random.Generator, before: Sequence[int] = ()
) -> list[int]:
    """Return up to `count` of `images` (less those of `before`), by k-means++ over their pairs.

    The pairs of `before` are centres from the start; without any the image of most pairs is first. Images without a
    pair are never chosen: where there are too few, fewer are returned.
    """
    own = {place: pairs(found) for place, found in images.items()}
    counts = {place: len(rows) for place, rows in own.items()}
    some = {place: strongest(images[place], rows) for place, rows in own.items() if len(rows)}
    points = {place: described(images[place], rows) for place, rows in some.items()}
    if not points:
        return []
    owner = np.concatenate([np.full(len(p), place) for place, p in points.items()])
    table = np.concatenate(list(points.values())).astype(np.float64)
    nearest = np.full(len(table), np.inf)
    for place in before:
        if place in points:
            _closer(nearest, table, points[place])
    nearest[np.isin(owner, list(before))] = 0.0
    chosen: list[int] = []
    left = [place for place in points if place not in set(before)]
    if not left:
        return []
    if not np.isfinite(nearest).any() or np.isinf(nearest).all():
        chosen.append(max(left, key=lambda place: counts[place]))
        _take(nearest, table, points, owner, chosen[-1])
    while len(chosen) < count and nearest.sum() > 0:
        share = np.where(np.isfinite(nearest), nearest, nearest[np.isfinite(nearest)].max(initial=1.0))
        place = int(owner[random.choice(len(share), p=share / share.sum())])
        chosen.append(place)
        _take(nearest, table, points, owner, place)
    return chosen[:count]


def _closer(nearest: NDArray[np.float64], table: NDArray[np.float64], centres: Float) -> None:
    points = centres.astype(np.float64)
    square = (table**2).sum(1)[:, None] + (points**2).sum(1) - 2 * table @ points.T
    np.minimum(nearest, square.clip(0).min(1), out=nearest)


def _take(
    nearest: NDArray[np.float64], table: NDArray[np.float64], points: Mapping[int, Float], owner: NDArray[np.int64],
    place: int,
) -> None:  # fmt: skip
    _closer(nearest, table, points[place])
    nearest[owner == place] = 0.0
