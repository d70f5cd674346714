"""What a round has to learn from, looked at before it learns: what is new, what is past, and what is odd about it.

Everything that is left out or held down is said in a line, for the report of the round and for whoever started it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.annotate.boxes import SAME
from central.learn.data import Example
from central.learn.snapshot import Frozen, Labelled
from edge.runtime.nms import overlaps

MOST_OF_ONE: Final = 0.5
"""Largest share of the samples that may come from one of several nodes: a node that is broken, or in wrong hands, must
not make the pack of all others."""
MOST_BOXES: Final = 0.7
"""Largest share of the boxes among the samples, likewise: a node whose frames are full of boxes speaks louder than its
frames are many. More than of the samples, as one crossing may well be busier than all others together."""
LEAST_KEPT: Final = 0.5
"""Share of its samples that a node keeps at least when it is held down for its boxes: beside empty scenes, an honest
busy crossing would have to vanish."""
FEW: Final = 5
"""Boxes of a class below which a round says that it will hardly learn it."""
NAMED: Final = 5


class MaterialError(ValueError):
    """Labels that no round can be run on. The text says why, and what to do."""


@dataclass(frozen=True)
class Material:
    """Frames labelled since the pack that a round starts from, those before, and what is odd about them."""

    new: tuple[Labelled, ...]
    past: tuple[Labelled, ...]
    notes: tuple[str, ...]


def gather(
    frozen: Frozen, seen: frozenset[str], labels: tuple[str, ...], again: bool = False, said: Sequence[str] = ()
) -> Material:
    """Return what `frozen` holds for training, `seen` being the frames that the last pack was trained on.

    `again`: learn even though nothing is new; `said`: notes on what was left out already. Raises MaterialError.
    """
    training = frozen.training
    if not any(item.labels or item.complete_for or item.tags for item in training):
        counts = f"{len(frozen.items)} labelled frames, {len(training)} of them for training"
        raise MaterialError(f"nothing to learn from: {counts}" + "".join(f"; {line}" for line in said) + "; label more")
    new = tuple(item for item in training if item.frame not in seen)
    past = tuple(item for item in training if item.frame in seen)
    if not new:
        if not again:
            raise MaterialError(
                f"nothing was labelled since the last pack, which knows all {len(past)} frames; label more, or ask for "
                "it again"
            )
        new, past = past, ()
    new, twice = zip(*(_undecided(item, labels) for item in new), strict=True)
    past, more = zip(*(_undecided(item, labels) for item in past), strict=True) if past else ((), ())
    clash = sum((*twice, *more))
    line = f"{clash} objects have boxes of two classes: neither was learned, nor background; correct them"
    return Material(new, past, (*said, *([line] if clash else []), *_notes([*new, *past], labels)))


def contradicting(items: Sequence[Labelled]) -> tuple[list[Labelled], list[str]]:
    """Return the frames that people contradict each other about, and a line on each kind.

    Nothing should be learned from them, nor judged by them.
    """
    disputed = [item for item in items if item.disputed]
    by_picture: dict[str, list[Labelled]] = defaultdict(list)
    for item in items:
        if item.picture and not item.disputed:
            by_picture[item.picture].append(item)
    twice = [item for alike in by_picture.values() if len({_answer(i) for i in alike}) > 1 for item in alike]
    lines = []
    if disputed:
        lines.append(
            f"{_frames(disputed)} that two people answer differently were left out: decide about them under Agreement"
        )
    if twice:
        lines.append(f"{_frames(twice)} with the same picture and different labels were left out: correct them")
    return [*disputed, *twice], lines


def _frames(items: Sequence[Labelled]) -> str:
    names = ", ".join(item.frame[:13] for item in items[:NAMED])
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return f"{len(items)} frames ({names}{more})"


def _answer(item: Labelled) -> tuple[object, ...]:
    """Return what was said of a frame, coarse enough that nobody's shaking hand makes another answer of it."""
    return tuple(sorted(Counter(item.labels).items()))


def _undecided(item: Labelled, known: tuple[str, ...]) -> tuple[Labelled, int]:
    """Return `item` with boxes of different `known` classes on one object at no weight, and how many objects."""
    if len(set(item.labels)) < 2:
        return item, 0
    boxes = np.array(item.boxes, np.float32).reshape(-1, 4)
    labels = np.array(item.labels)
    clash = (overlaps(boxes, boxes) >= SAME) & (labels[:, None] != labels[None, :])
    counts = np.isin(labels, known) & (np.array(item.weights) > 0)  # what a machine doubted contests nothing
    clash &= counts[:, None] & counts[None, :]
    found = np.flatnonzero(clash.any(axis=1))
    if not len(found):
        return item, 0
    weights = tuple(0.0 if i in found else w for i, w in enumerate(item.weights))
    return replace(item, weights=weights), int(np.ceil(len(found) / 2))


def _notes(training: Sequence[Labelled], labels: tuple[str, ...]) -> list[str]:
    """Return what is odd about `training`."""
    boxes = Counter(label for item in training for label, w in zip(item.labels, item.weights, strict=True) if w > 0)
    notes = []
    gone = {label: count for label, count in boxes.items() if label not in labels}
    if gone:
        listed = ", ".join(f"{label} {count}" for label, count in sorted(gone.items()))
        notes.append(f"boxes of classes that the profile does not have were left out: {listed}")
    known = {label: boxes.get(label, 0) for label in labels}
    if len(labels) > 1 and sum(count > 0 for count in known.values()) == 1:
        only = next(label for label, count in known.items() if count)
        notes.append(f"all boxes are of one class, {only}; the others stay as they were, as well as may be")
    scarce = [f"{label} {count}" for label, count in known.items() if 0 < count < FEW]
    if scarce:
        notes.append(f"too few boxes to learn much from: {', '.join(scarce)}")
    return notes


def hold_down(
    cameras: Sequence[str], shares: NDArray[np.float64], most: float = MOST_OF_ONE, boxes: Sequence[float] | None = None
) -> tuple[NDArray[np.float64], list[str]]:
    """Return `shares` in which no node has more than `most` of the samples, nor MOST_BOXES of their boxes, where there
    are others, and what was done.

    `cameras` are ``node/camera``, one for each share; `boxes` how many each example has.
    """
    nodes = np.array([camera.partition("/")[0] for camera in cameras])
    if len(set(nodes.tolist())) < 2 or not shares.sum():
        return shares, []
    held, notes = shares / shares.sum(), []
    held, name, share = _held(nodes, held, np.ones(len(held)), most)
    if name:
        notes.append(f"node {name} has {share:.0%} of the samples and counts for {most:.0%}")
    weights = np.ones(len(held)) if boxes is None else np.asarray(boxes, np.float64)
    fewer, name, share = _held(nodes, held, weights, MOST_BOXES)
    if name:
        own = nodes == name
        least = LEAST_KEPT * float(held[own].sum())
        if fewer[own].sum() < least:
            rest = float(held[~own].sum())
            fewer = np.where(own, held * LEAST_KEPT, held * (1 - least) / rest)
        counts = float((fewer * weights)[own].sum() / (fewer * weights).sum())
        notes.append(f"node {name} has {share:.0%} of the boxes and counts for {counts:.0%}")
        held = fewer
    return (held, notes) if notes else (shares, [])


def _held(
    nodes: NDArray[np.str_], shares: NDArray[np.float64], each: NDArray[np.float64], most: float
) -> tuple[NDArray[np.float64], str, float]:
    """Return `shares` (sum 1) in which no node has more than `most` of ``shares * each``, which one had, and how much.

    Only one can have more than half. A node that has all of it stays: there is nothing else to draw from.
    """
    total = float((shares * each).sum())
    for name in np.unique(nodes):
        own = nodes == name
        part = float((shares * each)[own].sum())
        if total <= 0 or part <= most * total or part >= total:
            continue
        # own * k against the others as they are: k * part = most * (k * part + total - part)
        k = most * (total - part) / ((1 - most) * part)
        held = np.where(own, shares * k, shares)
        return np.asarray(held / held.sum(), np.float64), str(name), part / total
    return shares, "", 0.0


def boxes_of(examples: Sequence[Example]) -> list[float]:
    """Return how many boxes that count each of `examples` has."""
    return [float((e.weights > 0).sum()) for e in examples]
