"""A ratio of totals over all that a camera saw, from the few frames that were kept with known probabilities.

    R = sum(w y) / sum(w x)      w = 1 / probability         (Hajek 1971; each sum is Horvitz and Thompson's of 1952)
    V = sum((1 - p) (w (y - R x) / (1 - h))^2) / sum(w x)^2   (linearised, Poisson sampling: Sarndal, Swensson and
                                                             Wretman 1992, eq. 5.7.3)

h is a frame's share of sum(w x): each residual is taken as if R had been estimated without its frame (jackknife; HC3 of
MacKinnon and White 1985), as few frames with large weights pull R to themselves and would look too sure.

The interval is Wilson's (1927) at the effective sample size R(1 - R)/V, corrected by Student's t for the variance
being estimated itself (Korn and Graubard 1998): near 0 and 1, and with few frames, the usual plus-minus would cover
too seldom.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95
LEAST_FRAMES: Final = 10
"""Frames with something to count below which no interval is worth the name."""
LEAST_EFFECTIVE: Final = 5.0
"""The same, in frames of equal weight (Kish 1965)."""
Z: Final = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate 0..1 and its 95 % interval; `frames` is the number that had anything to count."""

    value: float
    low: float
    high: float
    frames: int


def student(degrees: float) -> float:
    """Return the two-sided 95 % quantile of Student's t (Cornish and Fisher's expansion; 1e-2 off at 4 degrees)."""
    z, n = Z, max(1.0, degrees)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def wilson(share: float, size: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of `share` seen in `size` independent trials."""
    z2 = Z * Z / size
    centre = (share + z2 / 2) / (1 + z2)
    half = Z / (1 + z2) * sqrt(max(0.0, share * (1 - share) / size + z2 / (4 * size)))
    return max(0.0, centre - half), min(1.0, centre + half)


def ratio(hits: Array, sizes: Array, probabilities: Array) -> Interval | None:
    """Return sum(hits)/sum(sizes) over all frames seen, from those kept, all ``[n]``, with probabilities in (0, 1].

    `hits` is at most `sizes` in each frame. None where too few have a size above zero."""
    counted = sizes > 0
    frames = int(counted.sum())
    if frames < LEAST_FRAMES:
        return None
    y, x, p = hits[counted], sizes[counted], probabilities[counted]
    weights = 1.0 / p
    total = float((weights * x).sum())
    value = float((weights * y).sum()) / total
    loads = weights * x
    kish = total**2 / float((loads**2).sum())
    if kish < LEAST_EFFECTIVE:
        return None
    residuals = weights * (y - value * x) / (1 - loads / total)
    variance = float(((1 - p) * residuals**2).sum()) / total**2
    degrees = max(1.0, kish - 1.0)
    fair = value * (1 - value)
    if fair <= 0.0:  # never wrong, or never right: the frames are as good as so many draws
        effective = kish / max(1e-9, float(np.average(1 - p, weights=loads**2)))
    else:
        effective = fair / max(variance, 1e-12)
    effective *= (Z / student(degrees)) ** 2
    low, high = wilson(value, max(1.0, effective))
    return Interval(value, min(low, value), max(high, value), frames)
