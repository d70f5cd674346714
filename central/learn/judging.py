"""Two packs on the same held-back frames: what changed, for which camera and class, and how certain that is.

    predictions of both -> matches per class at IoU 0.5 -> the same draws of frames for both -> Change with intervals

A bootstrap draws frames with replacement, the same ones for both packs, so that what both find hard cancels out. A
frame that nobody looked through for a class can show that its boxes were found, and no more: what a pack sees there
besides is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from central.learn.detect.coco import Coco, CocoBox
from central.learn.detect.evaluate import Prediction
from central.learn.detect.precision import RECALLS, collect, overlaps

DRAWS: Final = 400
"""Of the bootstrap: the ends of a 95 % interval rest on ten of them each."""
SEED: Final = 11
LEAST_FRAMES: Final = 8
"""Frames below which a bootstrap says more than it knows."""
LEAST_BOXES: Final = 8
LEVEL: Final = 0.05
BINS: Final = 10
"""Of scores, for the calibration."""
LOWEST: Final = 0.05
"""Score below which nobody asks whether it is a probability."""
SAME: Final = 0.5
"""IoU from which a detection is of an object."""

Array = NDArray[np.float64]
Span = tuple[float, float]


class Change(msgspec.Struct, frozen=True):
    """A camera, a class, or everything. AP50 0..1, None where there is nothing to find; spans are 95 % intervals."""

    name: str
    frames: int
    boxes: int
    before: float | None = None
    after: float | None = None
    before_span: Span | None = None
    after_span: Span | None = None
    change: float | None = None
    span: Span | None = None
    certain: Span | None = None
    """The span of `change` in view of how many such changes there are: by chance alone, some would look bad."""
    new: bool = False
    """A class that the pack before did not know."""


class Calibration(msgspec.Struct, frozen=True):
    """Expected calibration error, 0..1: how far scores are from shares of what is right; bins: score, right, count."""

    before: float
    after: float
    change: float
    span: Span | None
    bins_before: list[tuple[float, float, int]]
    bins_after: list[tuple[float, float, int]]


class Curve(msgspec.Struct, frozen=True):
    """Precision over recall, both 0..1, of all classes together at IoU 0.5."""

    recall: list[float]
    precision: list[float]


class Judgement(msgspec.Struct, frozen=True):
    """What the held-back frames say."""

    overall: Change
    old_classes: Change | None
    """Of those classes that both packs know."""
    new_classes: Change | None
    cameras: list[Change]
    """Over the classes that both packs know: a class that came must not hide what others lost."""
    classes: list[Change]
    calibration: Calibration | None
    curve_before: Curve
    curve_after: Curve


@dataclass(frozen=True)
class _Half:
    """One pack, one class: N detections best first. scores, image, hit, miss ``[N]``; boxes ``[I]``."""

    scores: Array
    image: NDArray[np.int64]
    hit: Array
    miss: Array
    boxes: Array

    def of(self, images: NDArray[np.bool_]) -> _Half:
        """Return what is of the `images` ``[I]`` alone."""
        own = images[self.image]
        place = np.cumsum(images) - 1
        return _Half(self.scores[own], place[self.image[own]], self.hit[own], self.miss[own], self.boxes[images])


def fair(found: Sequence[Prediction], truth: Coco) -> list[Prediction]:
    """Return `found` without what nobody could tell right from wrong: of classes that a frame is not complete for,
    detections that are on no box of theirs."""
    names, boxes = {c.id: c.name for c in truth.categories}, truth.by_image()
    return [_fair(p, names, boxes[p.image.id]) for p in found]


def _fair(found: Prediction, names: dict[int, str], boxes: Sequence[CocoBox]) -> Prediction:
    complete = found.image.complete_for
    if complete is None or not len(found.labels):
        return found
    known = np.array([names[int(label)] in complete for label in found.labels], bool)
    for label in {int(v) for v in found.labels[~known]}:
        own = np.array([b.bbox for b in boxes if b.category_id == label], np.float64).reshape(-1, 4)
        mine = found.labels == label
        on = overlaps(found.boxes[mine], own, np.zeros(len(own), bool)).max(axis=1, initial=0.0) >= SAME
        known[mine] = on
    return Prediction(found.image, found.boxes[known], found.scores[known], found.labels[known])


def _halves(truth: Coco, found: Sequence[Prediction]) -> list[_Half]:
    boxes, halves = truth.by_image(), []
    for category in sorted(truth.categories, key=lambda c: c.id):
        detections, wanted = [], []
        for p in found:
            mine = p.labels == category.id
            detections.append((p.boxes[mine], p.scores[mine]))
            own = [b for b in boxes[p.image.id] if b.category_id == category.id]
            wanted.append(
                (
                    np.array([b.bbox for b in own], np.float64).reshape(-1, 4),
                    np.array([b.iscrowd > 0 for b in own], bool),
                )
            )
        m = collect(detections, wanted)
        hit, ignored = m.hit[0], m.ignored[0]
        halves.append(_Half(m.scores, m.image, hit.astype(float), (~(hit | ignored)).astype(float), m.boxes))
    return halves


def ap50(half: _Half, weights: Array) -> float:
    """Return AP at IoU 0.5 where image i counts ``weights[i]`` times; NaN where it has no box to find."""
    wanted = float(half.boxes @ weights)
    if wanted <= 0:
        return float("nan")
    weight = weights[half.image]
    hits, misses = np.cumsum(half.hit * weight), np.cumsum(half.miss * weight)
    recall, precision = hits / wanted, hits / np.maximum(hits + misses, 1e-12)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return float(best[at[at < len(recall)]].sum() / len(RECALLS))


def draws_of(count: int, seed: int = SEED) -> Array:
    """Return how often each of `count` frames is in each draw, ``[DRAWS, count]``."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), DRAWS).astype(np.float64)


def _table(halves: Sequence[_Half], draws: Array) -> Array:
    """Return AP50 ``[1 + DRAWS, classes]``: of the frames as they are, then of each draw."""
    rows = np.vstack([np.ones(draws.shape[1]), draws])
    return np.array([[ap50(half, row) for half in halves] for row in rows]).reshape(len(rows), len(halves))


def _mean(table: Array) -> Array:
    """Return the mean over classes ``[1 + DRAWS]`` of those that have boxes; NaN where none has."""
    known = ~np.isnan(table)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, table, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _span(values: Array, level: float = LEVEL) -> Span | None:
    sound = values[~np.isnan(values)]
    if len(sound) < DRAWS // 2:
        return None
    low, high = np.quantile(sound, [level / 2, 1 - level / 2])
    return float(low), float(high)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _change(
    name: str, frames: int, boxes: float, before: Array, after: Array, among: int = 1, new: bool = False
) -> Change:
    """Return the change between AP50 ``[1 + DRAWS]`` of both packs; `among`: how many such changes are looked at."""
    difference = after - before
    enough = frames >= LEAST_FRAMES and boxes >= LEAST_BOXES
    spans = (
        (_span(before[1:]), _span(after[1:]), _span(difference[1:]), _span(difference[1:], LEVEL / max(1, among)))
        if enough
        else (None, None, None, None)
    )
    return Change(
        name, frames, int(boxes), _number(before[0]), _number(after[0]), *spans[:2], _number(difference[0]),
        *spans[2:], new,
    )  # fmt: skip


def judge(
    truth: Coco, before: Sequence[Prediction], after: Sequence[Prediction], shared: frozenset[str]
) -> Judgement | None:
    """Return what changed; `shared` are the classes that both packs know. None where no frame was seen by both.

    Predictions are of one model each, made with a low threshold, as `central.learn.detect.evaluate.predict` makes them.
    """
    seen = {p.image.id for p in before} & {p.image.id for p in after}
    if not seen:
        return None
    both = [[p for p in fair(part, truth) if p.image.id in seen] for part in (before, after)]
    halves = [_halves(truth, part) for part in both]
    names = list(truth.labels)
    draws = draws_of(len(seen))
    tables = [_table(part, draws) for part in halves]
    old = np.array([name in shared for name in names], bool)
    boxes = np.array([half.boxes.sum() for half in halves[0]])
    parts = {"all": np.ones(len(names), bool), "old": old, "new": ~old}
    sums = {
        name: _change(name, len(seen), boxes[p].sum(), _mean(tables[0][:, p]), _mean(tables[1][:, p]))
        for name, p in parts.items()
        if p.any()
    }
    counted = int((boxes > 0).sum())
    classes = [
        _change(
            name, int((halves[0][i].boxes > 0).sum()), boxes[i], tables[0][:, i], tables[1][:, i], counted, not old[i]
        )
        for i, name in enumerate(names)
    ]
    cameras = _cameras(both[0], halves, old if old.any() else ~old)
    curves = [_curve(part) for part in halves]
    calibration = _calibration(halves[0], halves[1], draws)
    has_new = "new" in sums and sums["new"].boxes > 0
    return Judgement(
        sums["all"], sums.get("old"), sums["new"] if has_new else None, cameras, classes, calibration, *curves
    )


def _cameras(found: Sequence[Prediction], halves: Sequence[list[_Half]], kept: NDArray[np.bool_]) -> list[Change]:
    places = [p.image.place or "all" for p in found]
    named, rows = sorted(set(places)), []
    for place in named:
        own = np.array([p == place for p in places], bool)
        parts = [[half.of(own) for half, k in zip(part, kept, strict=True) if k] for part in halves]
        draws = draws_of(int(own.sum()))
        before, after = (_mean(_table(part, draws)) for part in parts)
        boxes = sum(float(half.boxes.sum()) for half in parts[0])
        rows.append(_change(place, int(own.sum()), boxes, before, after, len(named)))
    return rows


def _curve(halves: Sequence[_Half]) -> Curve:
    scores = np.concatenate([h.scores for h in halves])
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(np.concatenate([h.hit for h in halves])[order])
    misses = np.cumsum(np.concatenate([h.miss for h in halves])[order])
    wanted = sum(float(h.boxes.sum()) for h in halves)
    if not len(hits) or not wanted:
        return Curve([], [])
    precision = np.maximum.accumulate((hits / np.maximum(hits + misses, 1e-12))[::-1])[::-1]
    recall = hits / wanted
    at = np.searchsorted(recall, np.linspace(0, float(recall[-1]), 60)).clip(max=len(recall) - 1)
    return Curve([round(float(v), 4) for v in recall[at]], [round(float(v), 4) for v in precision[at]])


def _binned(halves: Sequence[_Half]) -> Array:
    """Return, per frame and bin of scores, count, sum of scores and number right: ``[I, BINS, 3]``."""
    table = np.zeros((len(halves[0].boxes), BINS, 3))
    for half in halves:
        sure = (half.scores >= LOWEST) & (half.hit + half.miss > 0)
        places = (half.image[sure], np.minimum((half.scores[sure] * BINS).astype(np.int64), BINS - 1))
        for column, values in enumerate((np.ones(int(sure.sum())), half.scores[sure], half.hit[sure])):
            np.add.at(table[..., column], places, values)
    return table


def _error(table: Array, weights: Array) -> Array:
    """Return the expected calibration error ``[R]`` where frames count `weights` ``[R, I]`` times."""
    sums = np.einsum("ri,ibk->rbk", weights, table)
    total = sums[..., 0].sum(axis=1)
    return np.asarray(np.abs(sums[..., 1] - sums[..., 2]).sum(axis=1) / np.maximum(total, 1e-12))


def _calibration(before: Sequence[_Half], after: Sequence[_Half], draws: Array) -> Calibration | None:
    tables = [_binned(part) for part in (before, after)]
    if any(not table[..., 0].sum() for table in tables):
        return None
    rows = np.vstack([np.ones(draws.shape[1]), draws])
    errors = [_error(table, rows) for table in tables]
    difference = errors[1] - errors[0]
    span = _span(difference[1:]) if draws.shape[1] >= LEAST_FRAMES else None
    return Calibration(
        float(errors[0][0]), float(errors[1][0]), float(difference[0]), span, *(_bins(table) for table in tables)
    )


def _bins(table: Array) -> list[tuple[float, float, int]]:
    sums = table.sum(axis=0)
    return [(round(float(s / n), 4), round(float(h / n), 4), int(n)) for n, s, h in sums if n > 0]
