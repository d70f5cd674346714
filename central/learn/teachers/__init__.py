"""Teachers: larger or foreign detectors whose proposals a person only has to confirm. One file each.

    image BGR -> Opened.propose -> Detections in source pixels, classes as indices into the project's labels
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Detections, Float
from edge.runtime.prepare import Image
from protocols import slots

SLOT: Final = "central.learn.teachers"
ATTRIBUTE: Final = "TEACHER"


class TeacherError(ValueError):
    """A teacher that cannot be opened or used. The text says which, why, and what to do."""


class Opened(Protocol):
    """A teacher, ready."""

    sees: frozenset[int]
    """Indices of the labels that it can propose."""

    def propose(self, image: Image) -> Detections:
        """Return what it sees in a BGR `image` ``[H, W, 3]``, best first: boxes in its pixels, classes our labels'."""
        ...


class Teacher(Protocol):
    """A member: ``TEACHER`` of a file in this folder."""

    name: str

    def open(self, model: str, labels: tuple[str, ...], names: Mapping[str, str], threshold: float) -> Opened:
        """Return the teacher at `model`, a local path or (where the member takes them) a hub name.

        `labels` are the project's; `names` say which of its classes, or which words of a prompt, stand for which label
        (those that are not in it stand for a label of the same name, or nothing); `threshold` 0..1 is the score from
        which it proposes. Raises TeacherError.
        """
        ...


def find(name: str) -> Teacher:
    """Return the teacher called `name`. Raises SlotError."""
    found: Teacher = slots.member(SLOT, ATTRIBUTE, name)
    return found


def table(theirs: list[str], labels: tuple[str, ...], names: Mapping[str, str], model: Path | str) -> NDArray[np.int64]:
    """Return for each of their classes the index of our label, -1 where it stands for none.

    Raises TeacherError where `names` has a class or a label that does not exist, or nothing is left.
    """
    strange = sorted(set(names) - set(theirs))
    if strange:
        raise TeacherError(f"{model}: it has no class {strange[0]!r}; it has {', '.join(theirs[:40])}")
    unknown = sorted(set(names.values()) - set(labels))
    if unknown:
        raise TeacherError(f"{unknown[0]!r} is not a label of the project, which has {', '.join(labels)}")
    wanted = [names.get(name, name) for name in theirs]
    found = np.array([labels.index(name) if name in labels else -1 for name in wanted], np.int64)
    if (found < 0).all():
        have = ", ".join(theirs[:40])
        raise TeacherError(f"{model}: none of its classes is a label; it has {have}; map some to ours")
    return found


def relabel(scores: Float, columns: NDArray[np.int64], count: int) -> Float:
    """Return `scores` ``[Q, theirs]`` as ``[Q, count]``: of several classes for one label the best counts."""
    merged = np.zeros((len(scores), count), np.float32)
    for column, label in enumerate(columns):
        if label >= 0:
            merged[:, label] = np.maximum(merged[:, label], scores[:, column])
    return merged


def select(boxes: Float, scores: Float, threshold: float) -> Detections:
    """Return the rows of boxes ``[Q, 4]``, scores ``[Q, labels]`` whose best label reaches `threshold`, best first."""
    classes = scores.argmax(axis=1) if len(scores) else np.zeros(0, np.int64)
    top = scores.max(axis=1, initial=0.0)
    keep = np.flatnonzero((top >= threshold) & np.isfinite(boxes).all(axis=1))
    order = keep[np.argsort(-top[keep], kind="stable")]
    return Detections(boxes[order].astype(np.float32), top[order].astype(np.float32), classes[order].astype(np.int64))
