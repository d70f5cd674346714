"""Is what arrives now another thing than the reference? Permutations of whole hours within a part of the day.

    both samples -> parts of the day that both have enough frames of, each with the same weight on both sides
                 -> T = apart(now, reference)        so that like hours are compared with like

Under "nothing changed" it is chance which hours are now, so the hours of each part of the day are drawn anew again and
again: frames of one hour stay together, as they are alike (a block permutation; Lahiri 2003). What is rarer than the
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
MOST: Final = 48
"""Frames of either side in a part of the day; more cost time and hardly tell more."""
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
        """Return ``[count, n]`` for each part: which frames are now, first as it is, then by permuted hours."""
        return [_drawn(hours, now, count, random) for hours, now in zip(self.hours, self.now, strict=True)]


def _spread(chosen: Mask, weights: Array, share: float) -> Array:
    own = chosen * weights
    return np.asarray(share * own / np.maximum(own.sum(axis=1, keepdims=True), 1e-300))


def _drawn(hours: Places, now: Mask, count: int, random: np.random.Generator) -> Mask:
    blocks, place = np.unique(hours, return_inverse=True)
    ranks = np.argsort(np.argsort(random.random((count, len(blocks))), axis=1), axis=1)
    chosen = np.asarray(ranks[:, place] < len(np.unique(hours[now])))
    chosen[0] = now
    return chosen


def _thin(mask: Mask, random: np.random.Generator) -> Places:
    found = np.flatnonzero(mask)
    return found if len(found) <= MOST else np.sort(random.choice(found, MOST, replace=False))


def layout(whole: Sample, is_now: Mask, there: Mask, random: np.random.Generator) -> Layout | None:
    """Return how the frames of `whole` that are `there` are compared; None where no part of the day has enough."""
    bins, rows, sizes = whole.bins, [], []
    for part in np.unique(bins):
        own = there & (bins == part)
        old, new = _thin(own & ~is_now, random), _thin(own & is_now, random)
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
