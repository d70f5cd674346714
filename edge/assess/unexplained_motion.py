"""Something moves and nothing was detected there: this is how missed objects are found.

At low resolution the picture less its own surroundings (so that light and shadow cancel) is compared with a slowly
learned background. A pixel differs where it lies outside all that the background shows right around it, so that a
shaking mast and swaying leaves, which bring a neighbour's pixel here, differ little; and by more than it usually does,
which rain and noise raise. What differs, moves, lasts for two frames and lies outside the detections is unexplained,
but for the fringe of a detected object: a shadow or bumper that the box leaves out is thin for the size of that box.
"""

from __future__ import annotations

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
"""Shares of the new frame in the background: at rest, and under what moves, so that slow traffic is not absorbed."""
WARM_UP = 8
"""Frames before the background is worth comparing with."""
SKIPPED = 3
"""Frames in a row of which the background is not learned where nothing at all changed: the next one makes up for it."""
LEAST_CHANGE = 10.0
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

Small = NDArray[np.float32]
Mask = NDArray[np.uint8]


class UnexplainedMotion:
    """The background of one camera. Implements `Score`."""

    def __init__(self) -> None:
        self._background = self._usual = self._last = np.zeros((0, 0), np.float32)
        self._before: Mask = np.zeros((0, 0), np.uint8)
        self._seen = self._still = 0

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return the moving area without a detection, 0..1; None while the background is being learned."""
        small = flatten(small_grey(frame.image, inference.picture, WIDTH))
        if self._background.shape != small.shape:
            self._background = self._last = small
            self._usual = np.full_like(small, LEAST_CHANGE / RESTLESS)
            self._before, self._seen = np.full(small.shape, 1, np.uint8), 0
        step = cv2.compare(cv2.absdiff(small, self._last), LEAST_CHANGE, cv2.CMP_GT)  # type: ignore[call-overload]
        if self._seen >= WARM_UP and self._still < SKIPPED and not cv2.countNonZero(step):
            self._seen, self._still, self._last, self._before = self._seen + 1, self._still + 1, small, step
            return Verdict(0.0)
        change = outside(small, self._background)
        mask = moving(change, self._usual, step)
        lasting = np.asarray(cv2.bitwise_and(mask, cv2.dilate(self._before, NEAR)), np.uint8)
        self._learn(small, change, mask)
        self._seen, self._still, self._last, self._before = self._seen + 1, 0, small, mask
        if self._seen <= WARM_UP or cv2.countNonZero(mask) > EVERYTHING * mask.size:
            return None
        boxes = covered(inference.detections.boxes, small.shape, frame.image.shape)
        return judge(uncover(lasting, boxes), boxes)

    def _learn(self, small: Small, change: Small, mask: Mask) -> None:
        rate = max(LEARNING * (1 + self._still), 1.0 / (self._seen + 1))
        slow = UNDER_MOTION if self._seen >= WARM_UP else rate
        rates = np.where(mask, np.float32(slow), np.float32(rate))
        self._background = self._background + rates * (small - self._background)
        self._usual = self._usual + np.float32(0.5) * rates * (change - self._usual)


def outside(small: Small, background: Small) -> Small:
    """Return how far, in grey levels, `small` lies outside all that `background` shows right around each pixel."""
    above = cv2.subtract(small, cv2.dilate(background, AROUND))
    below = cv2.subtract(cv2.erode(background, AROUND), small)
    return np.maximum(np.maximum(above, below), np.float32(0.0))


def moving(change: Small, usual: Small, step: NDArray[Any]) -> Mask:
    """Return where `change` is more than the `usual` one, near where `step` says that something changed since the last
    frame: what a departed object uncovers differs, but does not move. 255 there, else 0."""
    limit = np.maximum(np.float32(RESTLESS) * usual, np.float32(LEAST_CHANGE))
    differs = cv2.morphologyEx(cv2.compare(change, limit, cv2.CMP_GT), cv2.MORPH_CLOSE, CLOSE)
    return np.asarray(cv2.bitwise_and(differs, cv2.dilate(step, FAR)), np.uint8)


def flatten(grey: Grey) -> Small:
    """Return `grey` slightly smoothed and less its surroundings: what light and shadow leave alone."""
    smooth = np.asarray(cv2.GaussianBlur(grey, (3, 3), 0), np.float32)
    return np.asarray(cv2.subtract(smooth, cv2.blur(smooth, (SURROUND, SURROUND))), np.float32)


def covered(boxes: NDArray[np.float32], small: tuple[int, ...], shape: tuple[int, ...]) -> list[list[int]]:
    """Return x1, y1, x2, y2 in small pixels of `boxes` (in pixels of a picture of `shape`), widened by MARGIN."""
    if not len(boxes):
        return []
    scaled = boxes * np.array([small[1] / shape[1], small[0] / shape[0]] * 2)
    wide = MARGIN * (scaled[:, 2:] - scaled[:, :2]) + 1.0
    corners = np.hstack([np.floor(scaled[:, :2] - wide), np.ceil(scaled[:, 2:] + wide)])
    found: list[list[int]] = np.maximum(corners, 0.0).astype(np.int64).tolist()
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


def fringe(thickness: float, place: list[int], boxes: list[list[int]]) -> bool:
    """Say whether a blob at `place` (x, y, width, height), half of it `thickness` pixels, only lines one of `boxes`."""
    x, y, width, height = place
    touched = [b for b in boxes if b[0] <= x + width and b[2] >= x and b[1] <= y + height and b[3] >= y]
    return thickness < FRINGE * max((min(b[2] - b[0], b[3] - b[1]) for b in touched), default=0)


def judge(rest: Mask, boxes: list[list[int]]) -> Verdict:
    """Return the verdict on the moving pixels of `rest`, which none of `boxes` covers."""
    if not enough(rest):
        return Verdict(0.0)
    count, blobs, stats, centres = cv2.connectedComponentsWithStats(rest, connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA] / rest.size
    big = np.flatnonzero(areas >= LEAST_AREA)
    if len(big) and boxes:
        depth = cv2.distanceTransform(rest, cv2.DIST_L2, 3)
        deep = [float(depth[blobs == index].max()) for index in 1 + big]
        places = stats[1 + big, : cv2.CC_STAT_AREA].tolist()
        big = big[[not fringe(thickness, place, boxes) for thickness, place in zip(deep, places, strict=True)]]
    if not len(big):
        return Verdict(0.0)
    share = float(areas[big].sum())
    x, y = centres[1 + int(big[areas[big].argmax()])] / np.array(rest.shape[::-1])
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
