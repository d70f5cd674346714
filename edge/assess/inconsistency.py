"""Objects do not blink: tracks that vanish inside the picture, come back, or change class.

A light tracker: boxes move on by their own speed and are matched greedily by overlap, whatever their class.
Only tracks that held for some frames count, so a camera with few frames per second, where nothing overlaps, stays calm.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from edge.assess import Score, Verdict
from edge.runtime import Inference
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

Box = list[float]
"""x1, y1, x2, y2 in pixels of the frame. Plain numbers: for the few objects of a frame arrays would take longer."""


@dataclass
class Track:
    """One object over time. `missed` counts the frames since it was last seen; `lost` says whether neither the border
    nor an object before it explains that."""

    box: Box
    speed: Box
    label: int
    seen: int = 1
    missed: int = 0
    lost: bool = False

    def expected(self) -> Box:
        """Return where the box should be now."""
        steps = self.missed + 1
        return [side + steps * speed for side, speed in zip(self.box, self.speed, strict=True)]


def overlap(a: Box, b: Box) -> float:
    """Return the intersection of two boxes, pixels."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def area(box: Box) -> float:
    """Return the area of a box, pixels; never zero."""
    return max(1e-3, box[2] - box[0]) * max(1e-3, box[3] - box[1])


def match(expected: list[Box], boxes: list[Box]) -> list[tuple[int, int]]:
    """Return pairs (track, detection), best overlap first."""
    from_left = sorted(range(len(boxes)), key=lambda index: boxes[index][0])
    candidates = []
    for row, track in enumerate(expected):
        for column in from_left:
            box = boxes[column]
            if box[0] >= track[2]:
                break
            if box[2] > track[0] and box[1] < track[3] and box[3] > track[1]:
                common = overlap(track, box)
                iou = common / (area(track) + area(box) - common)
                if iou >= MATCH:
                    candidates.append((-iou, row, column))
    pairs: list[tuple[int, int]] = []
    rows: set[int] = set()
    columns: set[int] = set()
    for _, row, column in sorted(candidates):
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            pairs.append((row, column))
    return pairs


class Inconsistency:
    """The tracks of one camera. Implements `Score`."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return how surely the model made a mistake in this frame or just before it, 0..1."""
        boxes: list[Box] = inference.detections.boxes.tolist()
        if not boxes and not self._tracks:
            return Verdict(0.0)
        kinds: list[int] = inference.detections.classes.tolist()
        events: list[tuple[float, str]] = []
        expected = [track.expected() for track in self._tracks]
        pairs = match(expected, boxes)
        for row, column in pairs:
            events += self._seen(self._tracks[row], boxes[column], kinds[column], labels)
        matched = {row for row, _ in pairs}
        for row, track in enumerate(self._tracks):
            if row not in matched:
                events += self._missed(track, expected[row], boxes, frame.image.shape, labels)
        self._tracks = [
            track for track in self._tracks if track.missed <= (LONGEST_GAP if track.seen >= SETTLED else 0)
        ]
        old = {column for _, column in pairs}
        self._tracks += [
            Track(box, [0.0] * 4, kind)
            for column, (box, kind) in enumerate(zip(boxes, kinds, strict=True))
            if column not in old
        ]
        if not events:
            return Verdict(0.0)
        sure = 1.0 - prod(1.0 - weight for weight, _ in events)
        return Verdict(sure, in_words([text for _, text in events]))

    def _seen(self, track: Track, box: Box, label: int, labels: tuple[str, ...]) -> list[tuple[float, str]]:
        events: list[tuple[float, str]] = []
        settled = track.seen >= SETTLED
        if track.missed and track.lost:
            events.append((RETURNED, f"{labels[label]} comes back after a gap"))
        if settled and label != track.label:
            events.append((FLIPPED, f"{labels[track.label]} turns into {labels[label]}"))
        share = (1.0 - SPEED_MEMORY) / (track.missed + 1)
        track.speed = [
            SPEED_MEMORY * speed + share * (now - before)
            for speed, now, before in zip(track.speed, box, track.box, strict=True)
        ]
        track.box, track.label, track.seen, track.missed = box, label, track.seen + 1, 0
        track.lost = False
        return events

    def _missed(
        self, track: Track, expected: Box, boxes: list[Box], shape: tuple[int, ...], labels: tuple[str, ...]
    ) -> list[tuple[float, str]]:
        track.missed += 1
        if track.seen < SETTLED or track.missed > 1 or at_border(expected, shape):
            return []
        hidden = HIDDEN * area(expected)
        if any(overlap(expected, box) > hidden for box in boxes):
            return []
        track.lost = True
        return [(VANISHED, f"{labels[track.label]} vanishes inside the picture")]


def at_border(box: Box, shape: tuple[int, ...]) -> bool:
    """Say whether `box` touches the border of a picture of `shape`, where objects may come and go."""
    x, y = BORDER * shape[1], BORDER * shape[0]
    return box[0] < x or box[1] < y or box[2] > shape[1] - x or box[3] > shape[0] - y


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
