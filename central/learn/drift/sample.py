"""Frames of one camera as the measures take them: values, weights, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from central.learn.drift import Array

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
BIN_H: Final = 3
"""Hours of the day that count as alike: finer leaves too few frames in each, coarser compares noon with dusk."""
MOST_WEIGHT: Final = 10.0
"""Of a frame, over the median: one that was all but never kept must not decide alone."""
SCORES: Final = ("blur", "uncertainty")


class Seen(NamedTuple):
    """What is taken of a stored frame."""

    time: datetime
    probability: float
    """Of the basis that the sample rests on, in (0, 1]."""
    embedding: bytes | None
    assessment: Mapping[str, Any]
    detections: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Sample:
    """``[N]`` frames. `values` by field: ``[N]`` or ``[N, D]``, NaN where a frame has none."""

    times: Array
    """Seconds since 1970, UTC."""
    weights: Array
    values: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def hours(self) -> NDArray[np.int64]:
        """The whole hour that each frame is of: frames of one hour are alike for reasons of their own."""
        return (self.times // HOUR_S).astype(np.int64)

    @property
    def bins(self) -> NDArray[np.int64]:
        """The part of the day that each frame is of, 0..7."""
        return np.asarray(self.hours % 24 // BIN_H, np.int64)

    @property
    def days(self) -> NDArray[np.int64]:
        """The day that each frame is of."""
        return (self.times // DAY_S).astype(np.int64)

    def of(self, chosen: NDArray[Any]) -> Sample:
        """Return the frames that `chosen` (a mask or indices) names."""
        return Sample(self.times[chosen], self.weights[chosen], {k: v[chosen] for k, v in self.values.items()})


def _weights(probabilities: Array) -> Array:
    found = 1.0 / np.clip(probabilities, 1e-9, 1.0)
    return np.minimum(found, MOST_WEIGHT * np.median(found)) if len(found) else found


def _embeddings(rows: Sequence[Seen]) -> Array:
    sizes = {len(row.embedding) for row in rows if row.embedding}
    if len(sizes) != 1:  # none, or of networks that differ
        return np.full((len(rows), 1), np.nan)
    size = sizes.pop()
    empty = np.full(size // 4, np.nan, np.float32).tobytes()
    whole = b"".join(row.embedding if row.embedding else empty for row in rows)
    return np.frombuffer(whole, "<f4").reshape(len(rows), -1).astype(np.float64)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def sample(rows: Sequence[Seen], labels: Sequence[str]) -> Sample:
    """Return `rows` as the measures take them. `labels`: the classes whose shares are compared."""
    index = {label: i for i, label in enumerate(labels)}
    classes, scores = np.zeros((len(rows), max(1, len(labels)))), np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        found = [_number(d.get("score")) for d in row.detections]
        if found:
            scores[i] = np.mean(found)
        for d in row.detections:
            if d.get("label") in index:
                classes[i, index[str(d["label"])]] += 1
    values = {name: np.array([_number(row.assessment.get(name)) for row in rows]) for name in SCORES}
    values |= {"embedding": _embeddings(rows), "classes": classes, "score": scores}
    values["detections"] = np.array([float(len(row.detections)) for row in rows])
    times = np.array([row.time.timestamp() for row in rows], np.float64)
    return Sample(times, _weights(np.array([row.probability for row in rows], np.float64)), values)


def joined(first: Sample, second: Sample) -> Sample:
    """Return the frames of both; a field of different sizes is left out."""
    shared = [k for k in first.values if k in second.values and first.values[k].shape[1:] == second.values[k].shape[1:]]
    return Sample(
        np.concatenate([first.times, second.times]), np.concatenate([first.weights, second.weights]),
        {name: np.concatenate([first.values[name], second.values[name]]) for name in shared},
    )  # fmt: skip
