"""Boxes of one frame moved to a later one of the same camera, by what is seen in both. Pure: two images in.

Two ways, and the better one counts: points inside the box followed by optical flow there and back (Kalal et al.,
"Forward-Backward Error", ICPR 2010), and the box's content searched around its place. Either is believed as far as
what is there then looks like what was there before: their correlation is the confidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.annotate.boxes import LabelBox, Mask, clip
from protocols.messages import Box

LONGEST_SIDE: Final = 960
"""Pixels; larger frames are looked at smaller: what a person labels is still some pixels wide, and it takes a fifth."""
ALIKE: Final = 0.3
"""Correlation of two whole frames, seen small, below which they do not show the same scene."""
SMALL: Final = (64, 36)
SURE: Final = 0.6
"""Confidence below which a box is dropped: of two unrelated patches of a street, few correlate more."""
POINTS: Final = 60
FEW: Final = 4
"""Points that must be found again for a median to mean something."""
BACK: Final = 1.5
"""Pixels by which a point may miss its start when it is followed there and back."""
GROWTH: Final = (0.8, 1.25)
"""Change of size from which the points are taken to be of several things."""
PATCH: Final = (32, 32)
REACH: Final = 1.0
"""How far around a box its content is searched, in sizes of the box."""
LEAST: Final = 4
"""Pixels of a side below which nothing can be recognised."""
FLAT: Final = 1e-3

Grey = NDArray[np.uint8]


class TrackError(ValueError):
    """Two frames between which nothing can be followed. `code` is for programs, the text says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Moved:
    """A box in the later frame; `confidence` 0..1."""

    box: LabelBox
    confidence: float


@dataclass(frozen=True)
class _Shift:
    """From a place x to ``scale * x + (dx, dy)``."""

    scale: float
    dx: float
    dy: float

    def of(self, box: Box) -> Box:
        s = self.scale
        return box[0] * s + self.dx, box[1] * s + self.dy, box[2] * s + self.dx, box[3] * s + self.dy


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the correlation -1..1 of two images of one size; 0 where one of them is flat."""
    x, y = a.astype(np.float32) - a.mean(), b.astype(np.float32) - b.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / size if size > FLAT else 0.0


def _patch(image: Grey, box: Box) -> Grey | None:
    height, width = image.shape
    x1, y1 = max(0, round(box[0])), max(0, round(box[1]))
    x2, y2 = min(width, round(box[2])), min(height, round(box[3]))
    if x2 - x1 < LEAST or y2 - y1 < LEAST:
        return None
    return np.asarray(cv2.resize(image[y1:y2, x1:x2], PATCH, interpolation=cv2.INTER_AREA), np.uint8)


def _looks(before: Grey, after: Grey, box: Box, moved: Box) -> float:
    """Return how much of what was in `box` is in `moved`, 0..1."""
    was, is_ = _patch(before, box), _patch(after, moved)
    return 0.0 if was is None or is_ is None else max(0.0, _correlation(was, is_))


def _by_points(before: Grey, after: Grey, box: Box) -> _Shift | None:
    area = np.zeros(before.shape, np.uint8)
    x1, y1, x2, y2 = (round(v) for v in box)
    area[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)] = 255
    start = cv2.goodFeaturesToTrack(before, POINTS, 0.01, 3, mask=area)
    if start is None or len(start) < FEW:
        return None
    window = {"winSize": (21, 21), "maxLevel": 4}
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, **window)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **window)  # type: ignore[call-overload]
    miss = np.linalg.norm((back - start).reshape(-1, 2), axis=1)
    good = (found.ravel() == 1) & (again.ravel() == 1) & (miss < BACK)
    if int(good.sum()) < FEW:
        return None
    a, b = start.reshape(-1, 2)[good], there.reshape(-1, 2)[good]
    apart = [np.linalg.norm(p[:, None] - p[None], axis=2)[np.triu_indices(len(p), 1)] for p in (a, b)]
    far = apart[0] > 1.0
    scale = float(np.median(apart[1][far] / apart[0][far])) if far.any() else 1.0
    if not GROWTH[0] <= scale <= GROWTH[1]:
        return None
    dx, dy = (float(v) for v in np.median(b - scale * a, axis=0))
    return _Shift(scale, dx, dy)


def _by_content(before: Grey, after: Grey, box: Box) -> _Shift | None:
    height, width = before.shape
    x1, y1, x2, y2 = max(0, round(box[0])), max(0, round(box[1])), min(width, round(box[2])), min(height, round(box[3]))
    if x2 - x1 < LEAST or y2 - y1 < LEAST:
        return None
    reach_x, reach_y = round((x2 - x1) * REACH), round((y2 - y1) * REACH)
    left, top = max(0, x1 - reach_x), max(0, y1 - reach_y)
    around = after[top : min(height, y2 + reach_y), left : min(width, x2 + reach_x)]
    answer = cv2.matchTemplate(around, before[y1:y2, x1:x2], cv2.TM_CCOEFF_NORMED)
    _, _, _, best = cv2.minMaxLoc(np.nan_to_num(answer, nan=-1.0, posinf=-1.0, neginf=-1.0))
    return _Shift(1.0, float(left + best[0] - x1), float(top + best[1] - y1))


def _small(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[Grey, Grey, float]:
    """Return both images grey and small enough, and by how much they shrank. Raises TrackError."""
    if before.shape[:2] != after.shape[:2]:
        raise TrackError("too_different", "the two frames have different sizes; the camera was changed between them")
    shrink = min(1.0, LONGEST_SIDE / max(before.shape[:2]))
    grey = [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8) for image in (before, after)]
    thumbs = [np.asarray(cv2.resize(g, SMALL, interpolation=cv2.INTER_AREA), np.uint8) for g in grey]
    if _correlation(thumbs[0], thumbs[1]) < ALIKE:
        raise TrackError("too_different", "the two frames do not show the same scene; nothing can be followed")
    if shrink < 1.0:
        size = round(before.shape[1] * shrink), round(before.shape[0] * shrink)
        grey = [np.asarray(cv2.resize(g, size, interpolation=cv2.INTER_AREA), np.uint8) for g in grey]
    return grey[0], grey[1], shrink


def _outline(mask: Mask | None, shift: _Shift, width: int, height: int) -> Mask | None:
    """Return an outline moved with its box and cut to the frame; None where that leaves no ring whole."""
    if mask is None:
        return None
    s, right, bottom = shift.scale, float(width), float(height)
    rings = [
        tuple((min(max(x * s + shift.dx, 0.0), right), min(max(y * s + shift.dy, 0.0), bottom)) for x, y in ring)
        for ring in mask
    ]
    kept = tuple(ring for ring in rings if len(set(ring)) >= 3)
    return kept or None


def _follow(before: Grey, after: Grey, box: Box) -> tuple[_Shift, float] | None:
    """Return the better of the two ways and its confidence; None where neither is sure."""
    ways = (way(before, after, box) for way in (_by_points, _by_content))
    rated = [(shift, _looks(before, after, box, shift.of(box))) for shift in ways if shift is not None]
    best = max(rated, key=lambda r: r[1], default=None)
    return best if best is not None and best[1] >= SURE else None


def move(before: NDArray[np.uint8], after: NDArray[np.uint8], boxes: list[LabelBox]) -> list[Moved]:
    """Return those of `boxes`, labels of the BGR image `before`, that are found again in `after`, where they are there.

    Both images are ``[H, W, 3]`` of one size, boxes and outlines in their pixels. Raises TrackError where the images
    do not show the same scene.
    """
    was, now, shrink = _small(before, after)
    height, width = before.shape[:2]
    found = []
    for given in boxes:
        x1, y1, x2, y2 = (v * shrink for v in given.box)
        best = _follow(was, now, (x1, y1, x2, y2))
        if best is None:
            continue
        shift = _Shift(best[0].scale, best[0].dx / shrink, best[0].dy / shrink)
        cut = clip(shift.of(given.box), width, height, float("inf"))
        if cut is not None:
            mask = _outline(given.mask, shift, width, height)
            found.append(Moved(LabelBox(cut, given.label, best[1], mask), best[1]))
    return found
