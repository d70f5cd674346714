"""Doubt: which class, whether there is anything at all, and where its sides are.

Per detection: entropy over (the classes, nothing), of the greatest that it could be (in bits alone every detection of a
pack with five classes is past 1), raised by the box spread relative to the box.
Over the frame: half the greatest doubt, half a saturating sum, so that many doubtful objects outweigh one. Of the ways
in AGGREGATES it goes best with the number of errors in a frame: see `benchmarks.uncertainty` and docs/figures.md.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np
from numpy.typing import NDArray

from edge.assess import Score, Verdict
from edge.runtime import Detections, Inference
from edge.sources import Frame

SPREAD_SHARE = 0.5
"""Doubt that spread alone can cause, of 1."""
WIDE = 0.25
"""Spread relative to the box side that counts as knowing nothing of it."""
CROWD = 3.0
"""Summed doubt at which the saturating half is at 63 %."""
AGGREGATE = "max and sum"
"""How the frame's doubt is made: see AGGREGATES."""
DOUBTFUL = 0.6
"""Doubt above which an object is called doubtful: where only two classes are likely, as likely as each other."""

Doubt = NDArray[np.float64]
"""``[N]``, 0..1."""


def entropy(scores: NDArray[np.float32], classes: NDArray[np.float32] | None) -> NDArray[np.float64]:
    """Return the entropy, as a share 0..1 of the greatest that is possible, of detections with best scores ``[N]`` and
    class probabilities ``[N, C]`` or None."""
    known = scores[:, None] if classes is None else classes
    weights = np.empty((len(known), known.shape[1] + 1))
    weights[:, :-1] = known
    weights[:, -1] = 1.0 - known.max(axis=1)
    np.maximum(weights, 1e-9, out=weights)
    total = weights.sum(axis=1)
    nats = np.log(total) - (weights * np.log(weights)).sum(axis=1) / total
    return np.asarray(nats / log(weights.shape[1]), np.float64)


def spread(detections: Detections) -> NDArray[np.float64]:
    """Return the doubt about the sides, 0..1, ``[N]``; zero where the pack gives no spread."""
    if detections.spread is None:
        return np.zeros(len(detections))
    boxes, sides = detections.boxes, detections.spread
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    relative = ((sides[:, :2] + sides[:, 2:]) / size).sum(axis=1)
    return np.asarray(np.minimum(relative / (4.0 * WIDE), 1.0), np.float64)


def doubts(inference: Inference) -> Doubt:
    """Return the doubt of each detection, 0..1, ``[N]``: of class, existence and sides."""
    found = inference.detections
    if not len(found):
        return np.zeros(0)
    return np.asarray(
        1.0 - (1.0 - entropy(found.scores, inference.class_scores)) * (1.0 - SPREAD_SHARE * spread(found)), np.float64
    )


def greatest(doubt: Doubt) -> float:
    """Return the doubt of the most doubtful detection."""
    return float(doubt.max()) if len(doubt) else 0.0


def total(doubt: Doubt) -> float:
    """Return the summed doubt, saturating at 1."""
    return 1.0 - float(np.exp(-doubt.sum() / CROWD))


def mean(doubt: Doubt) -> float:
    """Return the usual doubt."""
    return float(doubt.mean()) if len(doubt) else 0.0


def weighted(doubt: Doubt) -> float:
    """Return the mean doubt, the more the more detections there are."""
    return mean(doubt) * (1.0 - float(np.exp(-len(doubt) / CROWD)))


def both(doubt: Doubt) -> float:
    """Return half the greatest doubt and half the summed one."""
    return 0.5 * greatest(doubt) + 0.5 * total(doubt)


AGGREGATES: dict[str, Callable[[Doubt], float]] = {
    "max": greatest, "sum": total, "mean": mean, "count-weighted": weighted, "max and sum": both,
}  # fmt: skip
"""Ways to make one number, 0..1, of the doubts of a frame's detections; `benchmarks.uncertainty` compares them."""


class Uncertainty:
    """Stateless. Implements `Score`."""

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return the doubt of the frame, 0..1. Zero where nothing was detected: nothing was doubted."""
        found = inference.detections
        if not len(found):
            return Verdict(0.0)
        doubt = doubts(inference)
        worst, value = int(doubt.argmax()), AGGREGATES[AGGREGATE](doubt)
        count = int((doubt > DOUBTFUL).sum())
        reason = (
            f"{count} of {len(found)} objects doubtful, most of all {_what(worst, inference, labels)}" if count else ""
        )
        return Verdict(value, reason)


def _what(index: int, inference: Inference, labels: tuple[str, ...]) -> str:
    found, classes = inference.detections, inference.class_scores
    name = labels[int(found.classes[index])]
    if classes is not None and classes.shape[1] > 1:
        second = int(np.argsort(classes[index])[-2])
        if second != int(found.classes[index]) and classes[index, second] > 0.5 * found.scores[index]:
            return f"a {name} that may be a {labels[second]}"
    return f"a {name} ({found.scores[index]:.0%})"


class UncertaintyKind:
    """The member of `edge.assess` for doubt."""

    name = "uncertainty"
    field = "uncertainty"

    def create(self) -> Score:
        """Return a fresh score."""
        return Uncertainty()


SCORE = UncertaintyKind()
