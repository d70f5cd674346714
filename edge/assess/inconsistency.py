"""Objects do not blink: tracks that vanish inside the picture, come back, or change class.

A light tracker: boxes move on by their own speed and are matched greedily by overlap, whatever their class.
Only tracks that held for some frames count, so a camera with few frames per second, where nothing overlaps, stays calm.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.assess import Score, Verdict
from edge.runtime import Detections, Inference
from edge.sources import Frame

MATCH = 0.3
"""Least overlap (intersection over union) of one object in neighbouring frames."""
SETTLED = 3
"""Frames that a track must have held before its end means anything."""
LONGEST_GAP = 5
"""Frames after which a vanished object is taken for gone."""
HIDDEN = 0.3
"""Overlap with another object's box, as a share of the own one, that explains a disappearance."""
BORDER = 0.03
"""Share of the picture's side within which objects may come and go."""
SPEED_MEMORY = 0.5
VANISHED, RETURNED, FLIPPED = 0.6, 0.4, 0.8
"""How sure each event is a mistake of the model."""

Boxes = NDArray[np.float32]


@dataclass
class Track:
    """One object over time. `missed` counts the frames since it was last seen; `lost` says whether neither the border
    nor an object before it explains that."""

    box: Boxes
    speed: Boxes
    label: int
    seen: int = 1
    missed: int = 0
    lost: bool = False

    def expected(self) -> Boxes:
        """Return where the box should be now."""
        return self.box + self.speed * (self.missed + 1)


def overlaps(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Return the intersections in pixels ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]``."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.clip(high - low, 0.0, None).prod(axis=2), np.float32)


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """Return the areas ``[N]`` of boxes ``[N, 4]``."""
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 1e-3, None).prod(axis=1), np.float32)


def match(expected: Boxes, boxes: Boxes) -> list[tuple[int, int]]:
    """Return pairs (track, detection), best overlap first."""
    if not len(expected) or not len(boxes):
        return []
    common = overlaps(expected, boxes)
    iou = common / (areas(expected)[:, None] + areas(boxes)[None, :] - common)
    pairs: list[tuple[int, int]] = []
    rows, columns = np.nonzero(iou >= MATCH)
    taken: tuple[set[int], set[int]] = (set(), set())
    for at in np.argsort(-iou[rows, columns], kind="stable"):
        row, column = int(rows[at]), int(columns[at])
        if row not in taken[0] and column not in taken[1]:
            taken[0].add(row)
            taken[1].add(column)
            pairs.append((row, column))
    return pairs


class Inconsistency:
    """The tracks of one camera. Implements `Score`."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return how surely the model made a mistake in this frame or just before it, 0..1."""
        found = inference.detections
        events: list[tuple[float, str]] = []
        none = np.zeros((0, 4), np.float32)
        expected = np.stack([track.expected() for track in self._tracks]) if self._tracks else none
        pairs = match(expected, found.boxes)
        for row, column in pairs:
            events += self._seen(self._tracks[row], found.boxes[column], int(found.classes[column]), labels)
        matched = {row for row, _ in pairs}
        for row, track in enumerate(self._tracks):
            if row not in matched:
                events += self._missed(track, expected[row], found, frame, labels)
        self._tracks = [
            track for track in self._tracks if track.missed <= (LONGEST_GAP if track.seen >= SETTLED else 0)
        ]
        new = set(range(len(found))) - {column for _, column in pairs}
        zero = np.zeros(4, np.float32)
        self._tracks += [Track(found.boxes[i].copy(), zero, int(found.classes[i])) for i in sorted(new)]
        sure = 1.0 - float(np.prod([1.0 - weight for weight, _ in events]))
        return Verdict(sure, in_words([text for _, text in events]))

    def _seen(self, track: Track, box: Boxes, label: int, labels: tuple[str, ...]) -> list[tuple[float, str]]:
        events: list[tuple[float, str]] = []
        settled = track.seen >= SETTLED
        if track.missed and track.lost:
            events.append((RETURNED, f"{labels[label]} comes back after a gap"))
        if settled and label != track.label:
            events.append((FLIPPED, f"{labels[track.label]} turns into {labels[label]}"))
        step = (box - track.box) / (track.missed + 1)
        track.speed = np.asarray(SPEED_MEMORY * track.speed + (1.0 - SPEED_MEMORY) * step, np.float32)
        track.box, track.label, track.seen, track.missed = box.copy(), label, track.seen + 1, 0
        track.lost = False
        return events

    def _missed(
        self, track: Track, expected: Boxes, found: Detections, frame: Frame, labels: tuple[str, ...]
    ) -> list[tuple[float, str]]:
        track.missed += 1
        if track.seen < SETTLED or track.missed > 1 or at_border(expected, frame.image.shape):
            return []
        own = areas(expected[None])[0]
        if len(found) and float(overlaps(expected[None], found.boxes).max()) > HIDDEN * own:
            return []
        track.lost = True
        return [(VANISHED, f"{labels[track.label]} vanishes inside the picture")]


def at_border(box: Boxes, shape: tuple[int, ...]) -> bool:
    """Say whether `box` touches the border of a picture of `shape`, where objects may come and go."""
    x, y = BORDER * shape[1], BORDER * shape[0]
    return bool(box[0] < x or box[1] < y or box[2] > shape[1] - x or box[3] > shape[0] - y)


def in_words(texts: list[str]) -> str:
    """Return ``car vanishes inside the picture (2 times), bus turns into truck``."""
    counted = Counter(texts).most_common()
    return ", ".join(text if count == 1 else f"{text} ({count} times)" for text, count in counted)


class InconsistencyKind:
    """The member of `edge.assess` for blinking objects."""

    name = "inconsistency"
    field = "inconsistency"

    def create(self) -> Score:
        """Return a fresh tracker."""
        return Inconsistency()


SCORE = InconsistencyKind()
