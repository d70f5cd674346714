"""The grid that a released update lies on: for each row of a tensor, whole multiples of one step of a fixed list.

    new = float32(old + float32(multiple * step))

Steps have eight significant bits and multiples at most sixteen, so the product is exact in float32 and the sum is
rounded once: any machine, with fused operations or without, gets the same bits. The list of steps is part of the
format, which is why two packs suffice to find the multiples again: `recover` tries the steps from coarse to fine until
one gives every value of the row bit for bit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

LIMIT: Final = (1 << 15) - 1
"""Largest multiple; sixteen bits with its sign."""
_MANTISSAS: Final = np.array([128, 152, 181, 215], np.float32)
"""Quarter octaves in eight bits; 181 / 128 is the square root of 2, to 1 in 9000."""
LEVELS: Final = 256
"""Steps 128 * 2 ** -56 .. 215 * 2 ** 7 in quarter octaves: from 2e-15 to 27,520."""
STEPS: Final = np.ldexp(_MANTISSAS[np.arange(LEVELS) % 4], np.arange(LEVELS) // 4 - 56).astype(np.float32)
PROBE: Final = 16
"""Values of a row that are tried before all of them."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Levels = NDArray[np.uint8]


class Multiples(NamedTuple):
    """multiples ``[R, K]``, -LIMIT .. LIMIT; levels ``[R]``, indices into STEPS. A row that did not change is zeros."""

    multiples: Ints
    levels: Levels


def rows(tensor: Floats) -> Floats:
    """Return `tensor` as ``[R, K]``: a row per output channel; a vector is one row."""
    return tensor.reshape(1, -1) if tensor.ndim < 2 else tensor.reshape(tensor.shape[0], -1)


def level_of(steps: NDArray[np.float64]) -> Levels:
    """Return the index of the coarsest step that is not above each of `steps` (above 0); 0 where all are."""
    index = np.searchsorted(STEPS.astype(np.float64), steps, "right") - 1
    return np.clip(index, 0, LEVELS - 1).astype(np.uint8)


def add(old: Floats, found: Multiples) -> Floats:
    """Return `old` ``[R, K]`` and the multiples of its steps, summed as every device does it. An unchanged row keeps
    its bits, whatever they are."""
    moved = found.multiples.astype(np.float32) * STEPS[found.levels][:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(found.multiples == 0, old, old + moved)


def nearest(old: Floats, new: Floats, levels: Levels) -> Ints:
    """Return the multiples of the steps of `levels` that bring `old` ``[R, K]`` nearest to `new`."""
    difference = new.astype(np.float64) - old
    return np.clip(np.rint(difference / STEPS[levels].astype(np.float64)[:, None]), -LIMIT, LIMIT).astype(np.int64)


def _same(first: Floats, second: Floats) -> NDArray[np.bool_]:
    return np.asarray((first.view(np.uint32) == second.view(np.uint32)).all(1))


def _fits(old: Floats, new: Floats, levels: Levels) -> NDArray[np.bool_]:
    return _same(add(old, Multiples(nearest(old, new, levels), levels)), new)


def common(found: Multiples) -> Multiples | None:
    """Return `found` with one step for all its rows, which is their finest; None where not all are octaves of it."""
    moved = found.multiples.any(1)
    if not moved.any():
        return None
    finest = found.levels[moved].min()
    gaps = np.where(moved, found.levels.astype(np.int64) - finest, 0)
    if (gaps % 4).any():
        return None
    multiples = found.multiples << (gaps // 4)[:, None]
    return Multiples(multiples, np.full_like(found.levels, finest)) if np.abs(multiples).max() <= LIMIT else None


def recover(old: Floats, new: Floats) -> Multiples | None:
    """Return the multiples that lead from `old` to `new` (both ``[R, K]``) bit for bit; None where `new` is not on the
    grid."""
    if not (np.isfinite(old).all() and np.isfinite(new).all()):
        return None
    largest = np.abs(new.astype(np.float64) - old).max(1, initial=0.0)
    open_ = np.flatnonzero(~_same(old, new))
    if (largest[open_] == 0).any():  # a zero that changed its sign
        return None
    levels = np.zeros(len(old), np.uint8)
    probe = np.argsort(-np.abs(new - old), axis=1)[:, :PROBE]
    few_old, few_new = (np.ascontiguousarray(np.take_along_axis(x, probe, 1)) for x in (old, new))
    coarsest = level_of(np.maximum(largest, STEPS[0]) * 1.2).astype(np.int64)
    for finer in range(4 * 16):
        if not len(open_):
            break
        level = coarsest[open_] - finer
        if (level < 0).any():
            return None
        tried = level.astype(np.uint8)
        likely = np.flatnonzero(_fits(few_old[open_], few_new[open_], tried))
        sure = likely[_fits(old[open_[likely]], new[open_[likely]], tried[likely])]
        levels[open_[sure]] = tried[sure]
        open_ = np.delete(open_, sure)
    if len(open_):
        return None
    return Multiples(nearest(old, new, levels), levels)
