"""What measures of single numbers share: both distribution functions on the sorted values."""

from __future__ import annotations

import numpy as np

from central.learn.drift import Array


def gaps(values: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Return the sorted values ``[N]`` and by how much the distribution functions differ at each, ``[P, N]``."""
    order = np.argsort(values, kind="stable")
    return values[order], np.cumsum((first - second)[:, order], axis=1)


def wasserstein(values: Array, first: Array, second: Array) -> Array:
    """Return ``[P]``: the area between the distribution functions, in standard deviations of `values`."""
    ordered, between = gaps(values, first, second)
    deviation = max(float(values.std()), 1e-9)
    return np.asarray(np.abs(between[:, :-1]) @ np.diff(ordered) / deviation)


def kolmogorov_smirnov(values: Array, first: Array, second: Array) -> Array:
    """Return ``[P]``, 0..1: the greatest gap between the distribution functions."""
    ordered, between = gaps(values, first, second)
    last = np.append(np.diff(ordered) > 0, True)
    return np.asarray(np.abs(between[:, last]).max(axis=1))
