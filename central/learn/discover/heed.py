"""Targets of images about which single questions were answered: what the heads say, and what people said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.annotate.asking.click import RAISED
from central.learn.discover.fit import Judged
from central.learn.discover.hints import LIKE, NONE, Hints, centred, fits
from central.learn.discover.targets import KEPT, Targets, targets
from edge.runtime import Float
from edge.runtime.nms import overlaps

ELSEWHERE: Final = 0.5
"""Of the score of a box away from what was clicked: it may be another object of the class."""
APART: Final = 0.1
"""IoU with a confirmed box up to which a box is away from it."""
SAME: Final = 0.99
"""IoU from which a target is the confirmed box itself."""


def heeded(judged: Judged, hints: Hints) -> Judged:
    """Return what the heads say of an image where its answers are heeded; confirmed boxes are added to its boxes."""
    if hints == NONE:
        return judged
    classes = judged.scores.shape[1]
    fit = fits(judged.boxes, hints, classes)
    away = np.ones_like(fit)
    for label in hints.present:
        held = [centred(judged.boxes, at) > 0 for name, at in hints.clicks if name == label]
        held += [_near(judged.boxes, box) for name, box in hints.right if name == label]
        away[:, label] = np.where(np.any(held, axis=0), fit[:, label], ELSEWHERE) if held else 1
    for label, box in hints.wrong:
        away[overlaps(judged.boxes, np.array([box], np.float32))[:, 0] >= LIKE, label] = 0
    scores = np.asarray(judged.scores * away, np.float32)
    extra = np.zeros((len(hints.right), classes), np.float32)
    for number, (label, _) in enumerate(hints.right):
        extra[number, label] = max(float(scores[:, label].max(initial=0.0)), 1e-3)
    boxes = np.array([box for _, box in hints.right], np.float32).reshape(-1, 4)
    return Judged(
        np.concatenate([judged.boxes, boxes]), np.concatenate([scores, extra]), judged.image,
        np.concatenate([judged.raw, extra]), np.concatenate([judged.unmoved, boxes]),
    )  # fmt: skip


def _near(boxes: Float, box: Sequence[float]) -> NDArray[np.bool_]:
    return np.asarray(overlaps(boxes, np.array([box], np.float32))[:, 0] > APART)


def sure(found: Targets, hints: Hints) -> Targets:
    """Return targets of an image with those that a person confirmed at weight 1, and those clicked surer."""
    scores = found.scores.copy()
    for label, at in hints.clicks:
        fit = np.where(found.classes == label, centred(found.boxes, at), 0)
        if len(fit) and fit.max() > 0:
            scores[fit.argmax()] += RAISED * (1 - scores[fit.argmax()])
    for label, box in hints.right:
        like = np.where(found.classes == label, overlaps(found.boxes, np.array([box], np.float32))[:, 0], 0)
        scores[like >= SAME] = 1.0
    order = np.argsort(-scores, kind="stable")
    return Targets(found.boxes[order], found.classes[order], scores[order])


def hinted(
    judged: Judged, labels: NDArray[np.int8], certain: NDArray[np.float32], hints: Hints, kept: float = KEPT
) -> Targets:
    """Return the targets of an image, as `targets` does, where its answers are heeded."""
    return sure(targets(heeded(judged, hints), labels, certain, kept), hints)
