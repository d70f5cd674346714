"""What a pack is judged by: both packs on the held-back frames, their times in turns, and the bytes of the update."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.learn import snapshot
from central.learn.detect.coco import Coco, DatasetError
from central.learn.detect.evaluate import THRESHOLD, Prediction, Report, predict, report
from central.learn.gates import Evidence, Timing
from central.learn.judging import Judgement, fair, judge
from central.learn.round.plan import Plan
from edge.runtime import Inference
from edge.runtime.model import Model
from protocols import delta
from protocols.pack import Pack, archive

TIMED: Final = 12
"""Frames on which both packs are timed."""
TURNS: Final = 3
"""How often each of them is, of which the fastest counts: what else the machine does only makes it slower."""


class _Today:
    """A model under the names that its classes have today."""

    def __init__(self, model: Model, labels: tuple[str, ...]) -> None:
        self._model, self.labels = model, labels

    def infer(self, image: NDArray[np.uint8], threshold: float | None = None, every_class: bool = False) -> Inference:
        return self._model.infer(image, threshold, every_class)


@dataclass(frozen=True)
class Seen:
    """What one pack does on the held-back frames."""

    found: list[Prediction]
    report: Report | None


@dataclass(frozen=True)
class Measured:
    """Both packs. `truth` is None where no person has answered a held-back frame."""

    truth: Coco | None
    before: Seen | None
    after: Seen | None
    evidence: Evidence
    threshold: float
    """Score from which the new pack shows what it sees."""

    @property
    def judgement(self) -> Judgement | None:
        """What changed."""
        return self.evidence.judgement


def _threads() -> int:
    return max(1, (os.cpu_count() or 2) // 2)


def _see(plan: Plan, pack: Pack, labels: tuple[str, ...], truth: Coco) -> Seen:
    with Model(pack, "auto", threads=_threads()) as model:
        if not set(labels) & set(truth.labels):
            return Seen([], None)
        found = predict(_Today(model, labels), plan.images, truth, THRESHOLD, lambda _done, _all: None)[0]
    found = fair(found, truth)
    return Seen(found, report(truth, found))


def measure(plan: Plan, pack: Pack) -> Measured:
    """Return how `pack` fares beside the one before. Raises RuntimeFault, OSError."""
    change = _change(plan, pack)
    timing = _timing(plan, pack)
    size, limit = len(archive(pack)), pack.manifest.score_threshold
    judging = plan.frozen.judging
    if not judging or not any(item.labels for item in judging):
        return Measured(None, None, None, Evidence(None, timing, change, size), limit)
    truth = snapshot.truth(judging, plan.labels)
    try:
        before = _see(plan, plan.running, plan.running_labels, truth)
        after = _see(plan, pack, plan.labels, truth)
    except DatasetError:  # not one of their images can be read
        return Measured(None, None, None, Evidence(None, timing, change, size), limit)
    seen = before.found or [_nothing(p) for p in after.found]
    found = judge(truth, seen, after.found, plan.shared)
    return Measured(truth, before, after, Evidence(found, timing, change, size), limit)


def _nothing(found: Prediction) -> Prediction:
    return Prediction(found.image, found.boxes[:0], found.scores[:0], found.labels[:0])


def _change(plan: Plan, pack: Pack) -> int | None:
    """Return the bytes of the delta from what runs, None where there is none that is shorter."""
    try:
        found = delta.choose(plan.running, pack)
    except delta.DeltaError:
        return None
    return None if found is None else len(found)


def _timing(plan: Plan, pack: Pack) -> Timing | None:
    """Time both packs on the same frames, in turns, one thread each."""
    items = plan.frozen.judging or plan.frozen.items
    paths = [snapshot.image_path(plan.images, item) for item in items]
    images = [image for path in _spread(paths) if (image := cv2.imread(str(path))) is not None]
    if not images:
        return None
    with Model(plan.running, "auto", threads=1) as old, Model(pack, "auto", threads=1) as new:
        for model in (old, new):
            model.infer(np.asarray(images[0], np.uint8))  # the first one makes ready
        pairs = np.array([_pair(old, new, np.asarray(image, np.uint8)) for image in images])
    ratios = np.sort(pairs[:, 1] / pairs[:, 0])
    before, after = np.median(pairs, axis=0)
    return Timing(float(before), float(after), float(np.median(ratios)), _median_span(ratios), len(images))


def _spread(paths: Sequence[Path]) -> list[Path]:
    return list(paths[:: max(1, len(paths) // TIMED)][:TIMED])


def _pair(old: Model, new: Model, image: NDArray[np.uint8]) -> tuple[float, float]:
    best = [np.inf, np.inf]
    for _ in range(TURNS):
        for which, model in enumerate((old, new)):
            start = time.perf_counter()
            model.infer(image)
            best[which] = min(best[which], (time.perf_counter() - start) * 1000)
    return float(best[0]), float(best[1])


def _median_span(ordered: NDArray[Any]) -> tuple[float, float] | None:
    """Return the interval of the median (at least 95 %) from order statistics; None of fewer than six values."""
    n = len(ordered)
    if n < 6:
        return None
    below = int((n - 1.96 * np.sqrt(n)) / 2)
    return float(ordered[max(0, below)]), float(ordered[min(n - 1, n - 1 - below)])
