"""The upper tail of the Pearson III distribution: a gamma distribution moved to mean 0 and deviation 1."""

from __future__ import annotations

from math import erfc, exp, lgamma, log, sqrt
from typing import Final

STRAIGHT: Final = 0.02
"""Skewness below which the normal distribution is as good."""
STEPS: Final = 2000
CLOSE: Final = 1e-12
TINY: Final = 1e-300


def gamma_tail(shape: float, x: float) -> float:
    """Return the probability that a gamma variable of `shape` and scale 1 is above `x` (Numerical Recipes, 6.2)."""
    if x <= 0:
        return 1.0
    front = exp(shape * log(x) - x - lgamma(shape))
    if x < shape + 1:
        term = total = 1.0 / shape
        for k in range(1, STEPS):
            term *= x / (shape + k)
            total += term
            if term < CLOSE * total:
                break
        return max(0.0, 1.0 - front * total)
    # Lentz's continued fraction
    b = x + 1 - shape
    c, d = 1 / TINY, 1 / b
    h = d
    for k in range(1, STEPS):
        a = -k * (k - shape)
        b += 2
        d = 1 / (a * d + b or TINY)
        c = b + a / c or TINY
        h *= c * d
        if abs(c * d - 1) < CLOSE:
            break
    return min(1.0, front * h)


def pearson3_tail(x: float, skewness: float) -> float:
    """Return the probability of more than `x` deviations above the mean. Negative skewness counts as none: cautious."""
    if skewness < STRAIGHT:
        return erfc(x / sqrt(2)) / 2
    shape = 4 / skewness**2
    return gamma_tail(shape, shape + x * sqrt(shape))
