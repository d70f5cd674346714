"""Scores of doubt of one frame. All of them: higher is more worth asking about."""

from __future__ import annotations

from typing import Final

import numpy as np

from central.learn.acquire import Candidate, Floats

TINY: Final = 1e-6


def entropies(scores: Floats) -> Floats:
    """Return the entropy of each detection ``[N]`` in bits: binary, summed over the classes of ``[N, C]`` sigmoids."""
    p = np.clip(np.asarray(scores, np.float64), TINY, 1 - TINY)
    bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.asarray(bits.sum(axis=1), np.float32)


def margins(scores: Floats) -> Floats:
    """Return one less the gap between the two best classes ``[N]``, 0..1; a single class has its gap to nothing."""
    if scores.shape[1] < 2:
        return np.asarray(1 - scores.max(axis=1, initial=0.0), np.float32)
    top = np.sort(scores, axis=1)[:, -2:]
    return np.asarray(1 - (top[:, 1] - top[:, 0]), np.float32)


def most(values: Floats) -> float:
    """Return the largest of `values`, 0 for none: robust where frames are crowded."""
    return float(values.max(initial=0.0))


def order(values: Floats, count: int, ties: np.random.Generator) -> list[int]:
    """Return the indices of the `count` largest of `values`, largest first; ties are broken by chance."""
    return [int(i) for i in np.lexsort((ties.random(len(values)), -np.asarray(values, np.float64)))[:count]]


def ranks(values: Floats) -> Floats:
    """Return the share of the other values that each of `values` is above, 0..1: nothing is above nothing."""
    if len(values) < 2:
        return np.zeros(len(values), np.float32)
    return np.asarray(np.searchsorted(np.sort(values), values, "left") / (len(values) - 1), np.float32)


def gather(candidates: list[Candidate], name: str) -> Floats:
    """Return the evidence `name` of each candidate, 0 where its node said nothing."""
    return np.array([c.evidence.get(name, 0.0) for c in candidates], np.float32)
