"""What is seen: the shares of the classes among the detections."""

from __future__ import annotations

from typing import Final

import numpy as np

from central.learn.drift import Array

LEAST_SHARE: Final = 0.01
"""Added to every share: a class that was never seen before must not be infinitely surprising."""


class ClassMix:
    """Population stability index, sum (p - q) ln(p / q); 0.1 counts as small, 0.25 as large in its field."""

    name = "class_mix"
    about = "shares of the classes (population stability index)"
    field = "classes"

    def apart(self, values: Array, first: Array, second: Array) -> Array:
        """Return ``[P]``; 0 where one side has no detection at all, which `detections` tells."""
        shares, seen = [], np.ones(len(first), bool)
        for side in (first, second):
            counts = side @ values
            total = counts.sum(axis=1, keepdims=True)
            seen &= total[:, 0] > 0
            found = counts / np.maximum(total, 1e-12) + LEAST_SHARE
            shares.append(found / found.sum(axis=1, keepdims=True))
        p, q = shares
        return np.where(seen, ((p - q) * np.log(p / q)).sum(axis=1), 0.0)


MEASURE = ClassMix()
