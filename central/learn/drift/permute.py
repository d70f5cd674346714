"""Is what arrives now another thing than the reference? Permutations of whole hours within a part of the day.

    both samples -> parts of the day that both have enough frames of, each with the same weight on both sides
                 -> T = apart(now, reference)        so that like hours are compared with like

Under "nothing changed" it is chance on which day an hour of the day is now, so that is drawn anew again and again:
frames of one hour stay together, as they are alike (a block permutation; Lahiri 2003). What is rarer than the
permutations can tell is read off a Pearson III curve with their mean, deviation and skewness (Mielke and Berry 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.learn.drift import Array, Measure
from central.learn.drift.curve import pearson3_tail
from central.learn.drift.sample import Sample, joined

DRAWS: Final = 400
MOST: Final = 4
"""Frames of one hour; more are alike, cost time and hardly tell more."""
LEAST: Final = 4
"""Frames of either side in a part of the day for that part to count."""

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """The frames that are compared, by part of the day: `rows` of both samples joined, which are now, and weights."""

    rows: tuple[Places, ...]
    now: tuple[Mask, ...]
    weights: tuple[Array, ...]
    hours: tuple[Places, ...]
    shares: Array
    """Of each part, the same on both sides."""

    def sides(self, chosen: list[Mask]) -> tuple[Array, Array]:
        """Return the weights ``[P, N]`` of what is now and of the rest where `chosen` says so, by part ``[P, n]``."""
        first = [_spread(c, w, s) for c, w, s in zip(chosen, self.weights, self.shares, strict=True)]
        second = [_spread(~c, w, s) for c, w, s in zip(chosen, self.weights, self.shares, strict=True)]
        return np.concatenate(first, axis=1), np.concatenate(second, axis=1)

    def drawn(self, count: int, random: np.random.Generator) -> list[Mask]:
        """Return ``[count, n]`` for each part: which frames are now, first as it is, then by exchanged hours."""
        return [_drawn(hours, now, count, random) for hours, now in zip(self.hours, self.now, strict=True)]


def _spread(chosen: Mask, weights: Array, share: float) -> Array:
    own = chosen * weights
    return np.asarray(share * own / np.maximum(own.sum(axis=1, keepdims=True), 1e-300))


def _drawn(hours: Places, now: Mask, count: int, random: np.random.Generator) -> Mask:
    """Exchange hours of one time of the day: whatever changes from one hour to the next stays where it is."""
    chosen = np.empty((count, len(hours)), bool)
    for time in np.unique(hours % 24):
        own = hours % 24 == time
        blocks, place = np.unique(hours[own], return_inverse=True)
        ranks = np.argsort(np.argsort(random.random((count, len(blocks))), axis=1), axis=1)
        chosen[:, own] = ranks[:, place] < len(np.unique(hours[own & now]))
    chosen[0] = now
    return chosen


def _thin(there: Mask, is_now: Mask, hours: Places, random: np.random.Generator) -> Mask:
    """Return which frames are used: at most so many of each hour as are usual on both sides. Hours can be exchanged
    only where they are of one size: small ones are noisier."""
    usual = [np.median(np.unique(hours[there & side], return_counts=True)[1]) for side in (is_now, ~is_now)]
    most = int(min(MOST, max(1.0, min(usual))))
    found = np.flatnonzero(there)
    found = found[np.lexsort((random.random(len(found)), hours[found]))]
    begins = np.r_[True, np.diff(hours[found]) != 0]
    rank = np.arange(len(found)) - np.maximum.accumulate(np.where(begins, np.arange(len(found)), 0))
    kept = np.zeros(len(there), bool)
    kept[found[rank < most]] = True
    return kept


def layout(whole: Sample, is_now: Mask, there: Mask, random: np.random.Generator) -> Layout | None:
    """Return how the frames of `whole` that are `there` are compared; None where no part of the day has enough."""
    if not (there & is_now).any() or not (there & ~is_now).any():
        return None
    bins, rows, sizes = whole.bins, [], []
    kept = _thin(there, is_now, whole.hours, random)
    for part in np.unique(bins):
        own = kept & (bins == part)
        old, new = np.flatnonzero(own & ~is_now), np.flatnonzero(own & is_now)
        if min(len(old), len(new)) >= LEAST:
            rows.append(np.concatenate([old, new]))
            sizes.append(len(old) * len(new) / (len(old) + len(new)))
    if not rows:
        return None
    shares = np.array(sizes) / sum(sizes)
    return Layout(
        tuple(rows), tuple(is_now[r] for r in rows), tuple(whole.weights[r] for r in rows),
        tuple(whole.hours[r] for r in rows), shares,
    )  # fmt: skip


def _compared(
    measure: Measure, reference: Sample, now: Sample, random: np.random.Generator, draws: int
) -> Array | None:
    """Return ``[1 + draws]``: T, and T of each permutation."""
    whole = joined(reference, now)
    if measure.field not in whole.values:
        return None
    values = whole.values[measure.field]
    there = np.isfinite(values if values.ndim == 1 else values.sum(axis=1))
    found = layout(whole, np.arange(len(whole)) >= len(reference), there, random)
    if found is None:
        return None
    first, second = found.sides(found.drawn(draws + 1, random))
    return measure.apart(values[np.concatenate(found.rows)], first, second)


def apart(measure: Measure, reference: Sample, now: Sample, random: np.random.Generator) -> float | None:
    """Return T; None where no part of the day has enough frames."""
    found = _compared(measure, reference, now, random, 0)
    return None if found is None else float(found[0])


def significance(
    measure: Measure, reference: Sample, now: Sample, random: np.random.Generator, draws: int = DRAWS
) -> tuple[float, float] | None:
    """Return T and the probability of so large a one by chance; None where no part of the day has enough frames."""
    found = _compared(measure, reference, now, random, draws)
    return None if found is None else (float(found[0]), tail(float(found[0]), found[1:]))


def tail(value: float, drawn: Array) -> float:
    """Return the probability of at least `value` under what was `drawn` by chance, ``[P]``."""
    above = int((drawn >= value).sum())
    counted = (above + 1) / (len(drawn) + 1)
    deviation = float(drawn.std())
    if above or deviation <= 1e-12:
        return counted
    mean = float(drawn.mean())
    lean = float(((drawn - mean) ** 3).mean()) / deviation**3
    return min(counted, max(pearson3_tail((value - mean) / deviation, lean), 1e-12))
