"""Drift: whether what a camera shows, or what its pack makes of it, is no longer what it was.

    frames that arrived -> Sample (values, weights 1/probability, times) -> every measure, hour by hour of the day
                        -> permutations of whole hours -> p, and how it compares with the days of the reference
                        -> Look: steady, drift, or not enough yet, with the reason in words

sample.py makes samples of stored frames, permute.py tests, look.py judges, watch.py reads and writes the store;
each measure is one file in ``measures/`` (`MEASURE`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from protocols import slots

Array = NDArray[np.float64]


class Measure(Protocol):
    """One way to say how far two sets of frames are apart. 0: not at all."""

    name: str
    about: str
    """In words, for people."""
    field: str
    """What of a frame it looks at: a key of `central.learn.drift.sample.Sample.values`."""

    def apart(self, values: Array, first: Array, second: Array) -> Array:
        """Return ``[P]``: how far apart the frames weighted by `first` are from those weighted by `second`.

        `values`: ``[N]`` or ``[N, D]``; `first` and `second`: ``[P, N]``, each row of sum 1, one row per permutation.
        """
        ...


@functools.cache
def known() -> dict[str, Measure]:
    """Return every measure by its name."""
    return cast(dict[str, Measure], slots.members(f"{__name__}.measures", "MEASURE"))


def strength(found: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Return of the measures of a look how many times the usual the strongest is; None where none was taken."""
    ratios = [row["value"] / row["usual"] for row in found.values() if row.get("usual")]
    return max(ratios, default=None)
