"""Something moves and nothing was detected there: this is how missed objects are found.

At low resolution the picture less its own surroundings (so that light and shadow cancel) is compared with a slowly
learned background. A pixel differs where it lies outside all that the background shows right around it, so that a
shaking mast and swaying leaves, which bring a neighbour's pixel here, differ little; and by more than it usually does,
which rain and noise raise. What differs, moves, lasts for two frames and lies outside the detections is unexplained,
but for the fringe of a detected object: a shadow or bumper that the box leaves out is thin for the size of that box.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.assess import Score, Verdict
from edge.assess.small import Grey, small_grey
from edge.runtime import Inference
from edge.sources import Frame

WIDTH = 160
"""Pixels across; an object of 1 % of the width is still a blob."""
SURROUND = 13
"""Side of the window that is subtracted, in small pixels."""
LEARNING, UNDER_MOTION = 0.05, 0.01
"""Shares of each new frame in the background: at rest, and under what moves, so that slow traffic is not absorbed."""
WARM_UP = 8
"""Frames before the background is worth comparing with."""
EVERY = 4
"""Of so many frames, the background learns from one, with as much more weight: it changes slowly."""
GREY = 128
"""Level that stands for the surroundings in a flattened picture, so that a byte holds lighter and darker."""
LEAST_CHANGE = 10
"""Grey levels that noise alone does not reach."""
RESTLESS = 4.0
"""Times the usual change that counts as motion."""
MARGIN = 0.2
"""By which detections are widened, relative to their size: shadows, spray and lights belong to them."""
FRINGE = 0.15
"""Half thickness, relative to the lesser side of the widened box that it touches, up to which a moving area is part of
what was detected. A second object beside it is thicker."""
LEAST_AREA = 0.0008
"""Share of the picture below which a blob is noise: 11 small pixels."""
MUCH = 0.02
"""Unexplained share of the picture at which the score is 63 %."""
EVERYTHING = 0.5
"""Share of moving pixels above which the scene, not something in it, has changed."""
AROUND, CLOSE, NEAR, FAR = (np.ones((side, side), np.uint8) for side in (3, 5, 7, 9))
"""Reach of a shake, of closing a blob, of a blob's place in the next frame, and of what moved between two frames."""

Mask = NDArray[np.uint8]


class Background:
    """What a camera shows where nothing moves, learned from flattened pictures.

    `low` and `high` bound all that it shows right around each pixel; `limit` is by how much a picture must lie outside.
    """

    def __init__(self, flat: Grey) -> None:
        self._mean = flat.astype(np.float32)
        self._usual = np.full(flat.shape, LEAST_CHANGE / RESTLESS, np.float32)
        self._settle()

    def learn(self, flat: Grey, change: Grey, mask: Mask, rate: float, slow: float) -> None:
        """Take `flat` in by `rate`, and by `slow` where `mask` says that something moves; `change` as of `changed`."""
        still = cv2.bitwise_not(mask)
        for share, where in ((rate, still), (slow, mask)):
            cv2.accumulateWeighted(flat, self._mean, share, where)
            cv2.accumulateWeighted(change, self._usual, 0.5 * share, where)
        self._settle()

    def _settle(self) -> None:
        mean = cv2.convertScaleAbs(self._mean)
        self.low, self.high = cv2.erode(mean, AROUND), cv2.dilate(mean, AROUND)
        self.limit = cv2.max(cv2.convertScaleAbs(self._usual, alpha=RESTLESS), LEAST_CHANGE)  # type: ignore[call-overload]

    def changed(self, flat: Grey) -> Grey:
        """Return how far, in grey levels, `flat` lies outside all that the background shows right around each pixel."""
        return np.asarray(cv2.max(cv2.subtract(flat, self.high), cv2.subtract(self.low, flat)), np.uint8)


class UnexplainedMotion:
    """One camera's motion. Implements `Score`."""

    def __init__(self) -> None:
        self._background: Background | None = None
        self._last: Grey = np.zeros((0, 0), np.uint8)
        self._before: Mask = self._last
        self._seen = self._learned = 0

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return the moving area without a detection, 0..1; None while the background is being learned."""
        flat = flatten(small_grey(frame.image, inference.picture, WIDTH))
        if self._background is None or self._last.shape != flat.shape:
            self._background, self._last = Background(flat), flat
            self._before, self._seen, self._learned = np.full(flat.shape, 255, np.uint8), 0, 0
        step = cv2.threshold(cv2.absdiff(flat, self._last), LEAST_CHANGE, 255, cv2.THRESH_BINARY)[1]
        self._seen, self._last = self._seen + 1, flat
        if self._seen > WARM_UP and self._seen - self._learned < EVERY and not cv2.countNonZero(step):
            self._before = np.asarray(step, np.uint8)
            return Verdict(0.0)
        change = self._background.changed(flat)
        mask = moving(change, self._background.limit, step)
        before, self._before = self._before, mask
        self._learn(self._background, flat, change, mask)
        if self._seen <= WARM_UP:
            return None
        moves = cv2.countNonZero(mask)
        if moves > EVERYTHING * mask.size:
            return None
        if moves < LEAST_AREA * mask.size:
            return Verdict(0.0)
        lasting = np.asarray(cv2.bitwise_and(mask, cv2.dilate(before, NEAR)), np.uint8)
        boxes = covered(inference.detections.boxes, flat.shape, frame.image.shape)
        return judge(uncover(lasting, boxes), boxes)

    def _learn(self, background: Background, flat: Grey, change: Grey, mask: Mask) -> None:
        frames = self._seen - self._learned
        if self._seen > WARM_UP and frames < EVERY:
            return
        self._learned = self._seen
        rate = max(LEARNING * frames, 1.0 / self._seen)
        background.learn(flat, change, mask, rate, UNDER_MOTION * frames if self._seen > WARM_UP else rate)


def moving(change: Grey, limit: Grey, step: NDArray[Any]) -> Mask:
    """Return where `change` is more than the `limit`, near where `step` says that something changed since the last
    frame: what a departed object uncovers differs, but does not move. 255 there, else 0."""
    differs = cv2.compare(change, limit, cv2.CMP_GT)
    if not cv2.countNonZero(differs):
        return np.asarray(differs, np.uint8)
    closed = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, CLOSE)
    return np.asarray(cv2.bitwise_and(closed, cv2.dilate(step, FAR)), np.uint8)


def flatten(grey: Grey) -> Grey:
    """Return `grey` slightly smoothed and less its surroundings, which are GREY: what light and shadow leave alone."""
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    around = cv2.blur(smooth, (SURROUND, SURROUND))
    return np.asarray(cv2.addWeighted(smooth, 1.0, around, -1.0, GREY), np.uint8)


def covered(boxes: NDArray[np.float32], small: tuple[int, ...], shape: tuple[int, ...]) -> list[list[int]]:
    """Return x1, y1, x2, y2 in small pixels of `boxes` (in pixels of a picture of `shape`), widened by MARGIN."""
    if not len(boxes):
        return []
    across, down = small[1] / shape[1], small[0] / shape[0]
    found = []
    for x1, y1, x2, y2 in boxes.tolist():
        wide, high = MARGIN * across * (x2 - x1) + 1.0, MARGIN * down * (y2 - y1) + 1.0
        low = (max(0, floor(across * x1 - wide)), max(0, floor(down * y1 - high)))
        found.append([*low, max(0, ceil(across * x2 + wide)), max(0, ceil(down * y2 + high))])
    return found


def uncover(mask: Mask, boxes: list[list[int]]) -> Mask:
    """Return `mask` without what lies in `boxes`."""
    rest = mask.copy() if boxes else mask
    for x1, y1, x2, y2 in boxes:
        rest[y1:y2, x1:x2] = 0
    return rest


def enough(mask: Mask) -> bool:
    """Say whether there are pixels enough in `mask` for one blob that counts."""
    return cv2.countNonZero(mask) >= LEAST_AREA * mask.size


def around(mask: Mask) -> tuple[int, int, Mask]:
    """Return left and top of the part of `mask` that has pixels, with a pixel's border, and that part."""
    x, y, width, height = cv2.boundingRect(mask)
    x, y, right, bottom = max(0, x - 1), max(0, y - 1), x + width + 1, y + height + 1
    return x, y, mask[y:bottom, x:right]


def fringe(thickness: float, place: list[int], boxes: list[list[int]]) -> bool:
    """Say whether a blob at `place` (x, y, width, height), half of it `thickness` pixels, only lines one of `boxes`."""
    x, y, width, height = place
    touched = [b for b in boxes if b[0] <= x + width and b[2] >= x and b[1] <= y + height and b[3] >= y]
    return thickness < FRINGE * max((min(b[2] - b[0], b[3] - b[1]) for b in touched), default=0)


def judge(rest: Mask, boxes: list[list[int]]) -> Verdict:
    """Return the verdict on the moving pixels of `rest`, which none of `boxes` covers."""
    if not enough(rest):
        return Verdict(0.0)
    x0, y0, near = around(rest)
    count, blobs, stats, centres = cv2.connectedComponentsWithStats(near, connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA] / rest.size
    big = np.flatnonzero(areas >= LEAST_AREA)
    if len(big) and boxes:
        depth = cv2.distanceTransform(near, cv2.DIST_L2, 3)
        deep = [float(depth[blobs == index].max()) for index in 1 + big]
        places = (stats[1 + big, : cv2.CC_STAT_AREA] + (x0, y0, 0, 0)).tolist()
        big = big[[not fringe(thickness, place, boxes) for thickness, place in zip(deep, places, strict=True)]]
    if not len(big):
        return Verdict(0.0)
    share = float(areas[big].sum())
    x, y = (centres[1 + int(big[areas[big].argmax()])] + (x0, y0)) / np.array(rest.shape[::-1])
    side = "left" if x < 1 / 3 else "right" if x > 2 / 3 else "middle"
    level = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else "centre"
    many = "one area moves" if len(big) == 1 else f"{len(big)} areas move"
    return Verdict(1.0 - float(np.exp(-share / MUCH)), f"{many} without a detection ({share:.1%}, {level} {side})")


class UnexplainedMotionKind:
    """The member of `edge.assess` for motion without a detection."""

    name = "unexplained_motion"
    field = "unexplained_motion"

    def create(self) -> Score:
        """Return a fresh background."""
        return UnexplainedMotion()


SCORE = UnexplainedMotionKind()
