"""Consistency over time: targets of frames in a row, made consistent along tracks.

    frames of one camera -> rows -> weak targets of each frame -> tracks (predicted by their motion, linked by IoU)
      -> scores smoothed along each track, lone finds lowered, gaps filled at a lower weight -> targets

What is found in one frame alone is mostly a mistake, and what is missed in one frame between two finds mostly is there:
so do Han et al. ("Seq-NMS for video object detection", 2016) and tube methods of weakly supervised detection. Boxes
that a person drew start and end tracks, and are never changed.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.learn.discover.targets import KEPT, MOST, Targets
from edge.runtime import Float
from edge.runtime.nms import overlaps

WEAK: Final = 0.2
"""Share of the best score of its class in a frame from which a box may be on a track."""
LINK: Final = 0.5
"""IoU of a find with where its track is expected, from which they are one object; at 0.3 parts join their wholes."""
GAP: Final = 3
"""Frames that an object may be missed for in between."""
REACH: Final = 2
"""Frames before and after whose scores count for a find of the same track."""
LONE: Final = (0.3, 0.6)
"""What scores of tracks of one and of two finds are lowered to, as a share."""
FILLED: Final = 0.5
"""Share of the lower of two neighbours' scores that a box between them has."""
FEWEST: Final = 3
"""Frames of a row."""
APART_S: Final = 2.0
"""Seconds between two frames, by the times in their names, from which they are not in a row."""
LEAP: Final = 2.5
"""The same of numbers in names, as a multiple of the usual step."""

Weak = Callable[[int], Targets]
Fixed = Callable[[int], Targets | None]


def moment(path: Path) -> tuple[str, float] | None:
    """Return what a file name counts in and where it is: seconds of a UUIDv7, else its last number; None without."""
    try:
        name = uuid.UUID(path.stem)
        return ("uuid", (name.int >> 80) / 1000) if name.version == 7 else None
    except ValueError:
        found = re.fullmatch(r"(.*?)(\d+)", path.stem)
        return (found[1], float(found[2])) if found else None


def rows_of(paths: Sequence[Path], cameras: Sequence[str], always: bool = False) -> list[list[int]]:
    """Return the places in `paths` of frames in a row: those of one camera whose names count up without a leap.

    `cameras`: of each image, empty for none. `always`: all frames of a camera, in the order of their names.
    """
    own: dict[str, list[int]] = defaultdict(list)
    for place in sorted(range(len(paths)), key=lambda p: paths[p]):
        if cameras[place]:
            own[cameras[place]].append(place)
    rows = [[places] if always else _cut(paths, places) for _, places in sorted(own.items())]
    return [row for cut in rows for row in cut if len(row) >= FEWEST]


def _cut(paths: Sequence[Path], places: Sequence[int]) -> list[list[int]]:
    known = sorted((m, place) for place in places if (m := moment(paths[place])) is not None)
    steps = [b[0][1] - a[0][1] for a, b in pairwise(known) if a[0][0] == b[0][0]]
    usual = float(np.median(steps)) if steps else 0.0
    rows: list[list[int]] = []
    before: tuple[str, float] | None = None
    for now, place in known:
        limit = APART_S if now[0] == "uuid" else LEAP * usual
        if before is None or before[0] != now[0] or now[1] - before[1] > limit:
            rows.append([])
        rows[-1].append(place)
        before = now
    return rows


@dataclass(eq=False)
class Track:
    """Finds of one object: frames of the row, boxes xyxy, scores."""

    frames: list[int] = field(default_factory=list)
    boxes: list[Float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, frame: int, box: Float, score: float) -> None:
        """Take in a find."""
        self.frames.append(frame)
        self.boxes.append(box)
        self.scores.append(score)

    def expected(self, frame: int) -> Float:
        """Return where the object should be in `frame`, by its motion between its last two finds."""
        last = self.boxes[-1]
        if len(self.frames) < 2:
            return last
        step = (last - self.boxes[-2]) / max(1, self.frames[-1] - self.frames[-2])
        return np.asarray(last + step * (frame - self.frames[-1]), np.float32)


def linked(found: Sequence[tuple[Float, Float]]) -> list[Track]:
    """Return the tracks of boxes ``[N, 4]`` with scores ``[N]`` of one class in each frame of a row."""
    done: list[Track] = []
    active: list[Track] = []
    for frame, (boxes, scores) in enumerate(found):
        late = [t for t in active if frame - t.frames[-1] > GAP + 1]
        done += late
        active = [t for t in active if t not in late]
        taken = _matched(active, frame, boxes)
        for place in range(len(boxes)):
            track = taken.get(place)
            if track is None:
                active.append(track := Track())
            track.add(frame, boxes[place], float(scores[place]))
    return done + active


def _matched(active: Sequence[Track], frame: int, boxes: Float) -> dict[int, Track]:
    """Return the track of each box that continues one, the best fitting pairs first."""
    if not len(boxes) or not active:
        return {}
    expected = overlaps(np.stack([t.expected(frame) for t in active]), boxes)
    overlap = np.maximum(expected, overlaps(np.stack([t.boxes[-1] for t in active]), boxes))
    taken: dict[int, Track] = {}
    used: set[int] = set()
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        row, place = divmod(int(flat), len(boxes))
        if overlap[row, place] < LINK:
            break
        if row not in used and place not in taken:
            taken[place] = active[row]
            used.add(row)
    return taken


def smoothed(track: Track) -> list[float]:
    """Return the scores of a track: the mean over its finds nearby, lowered where there are hardly any."""
    frames, scores = np.array(track.frames), np.array(track.scores)
    near = np.abs(frames[:, None] - frames[None]) <= REACH
    mean = (near * scores[None]).sum(1) / near.sum(1)
    share = LONE[len(scores) - 1] if len(scores) <= len(LONE) else 1.0
    return [float(v) for v in share * mean]


def gaps(track: Track, scores: Sequence[float]) -> list[tuple[int, Float, float]]:
    """Return frame, box and score of what was missed between finds of `track`, whose smoothed `scores` are given."""
    found = []
    if len(track.frames) < FEWEST:
        return []
    for n in range(len(track.frames) - 1):
        begin, end = track.frames[n], track.frames[n + 1]
        for frame in range(begin + 1, end):
            share = (frame - begin) / (end - begin)
            box = np.asarray((1 - share) * track.boxes[n] + share * track.boxes[n + 1], np.float32)
            found.append((frame, box, FILLED * min(scores[n], scores[n + 1])))
    return found


Row = tuple[Float, int, float, bool]
"""Box, class, score, and whether it fills a gap."""


def _of_row(row: Sequence[int], found: Sequence[Targets], labels: NDArray[np.int8]) -> list[list[Row]]:
    """Return what is on each frame of a row, by tracks; classes that a frame is known not to have are not filled in."""
    made: list[list[Row]] = [[] for _ in row]
    for label in range(labels.shape[1]):
        own = [(t.boxes[t.classes == label], t.scores[t.classes == label]) for t in found]
        for track in linked(own):
            scores = smoothed(track)
            for frame, box, score in zip(track.frames, track.boxes, scores, strict=True):
                made[frame].append((box, label, score, False))
            for frame, box, score in gaps(track, scores):
                if labels[row[frame], label] >= 0:
                    made[frame].append((box, label, score, True))
    return made


def _kept(rows: Sequence[Row], kept: float) -> Targets:
    best: dict[int, float] = defaultdict(float)
    for _, label, score, _ in rows:
        best[label] = max(best[label], score)
    good = [r for r in rows if r[3] or r[2] >= kept * best[r[1]]]
    good = sorted(good, key=lambda r: -r[2])[: MOST * max(1, len(best))]
    return Targets(
        np.array([r[0] for r in good], np.float32).reshape(-1, 4), np.array([r[1] for r in good], np.int64),
        np.array([r[2] for r in good], np.float32),
    )  # fmt: skip


def consistent(
    rows: Sequence[Sequence[int]], weak: Weak, labels: NDArray[np.int8], sure: NDArray[np.float32], fixed: Fixed,
    kept: float = KEPT,
) -> Mapping[int, Targets]:  # fmt: skip
    """Return the targets of the images in `rows` (places, in order), by place.

    `weak` gives those of an image from WEAK on, `fixed` what a person drew on it, which is linked and left out of what
    is returned; labels ``[I, C]`` (1, -1, 0). A box that fills a gap counts by how `sure` ``[I, C]`` its tag is;
    another one stays from the share `kept` of the best of its class on.
    """
    made: dict[int, Targets] = {}
    for row in rows:
        drawn = [fixed(place) for place in row]
        found = [weak(place) if own is None else own for place, own in zip(row, drawn, strict=True)]
        for place, own, parts in zip(row, drawn, _of_row(row, found, labels), strict=True):
            if own is None:
                by = [(b, c, s * (float(sure[place, c]) if f else 1.0), f) for b, c, s, f in parts]
                made[place] = _kept(by, kept)
    return made
