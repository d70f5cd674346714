"""Something moves and nothing was detected there: this is how missed objects are found.

At low resolution the picture less its own surroundings (so that light and shadow cancel) is compared with a slowly
learned background; each pixel's usual restlessness (leaves, rain, noise) raises its own threshold, and a small shift
of the whole picture (a shaking mast) is undone first. What remains, outside the detections, is unexplained.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.assess import Score, Verdict
from edge.runtime import Inference
from edge.sources import Frame, Image

WIDTH = 160
"""Pixels across; an object of 1 % of the width is still a blob."""
SURROUND = 13
"""Side of the window that is subtracted, in small pixels."""
LEARNING, UNDER_MOTION = 0.05, 0.01
"""Shares of the new frame in the background: at rest, and under what moves, so that slow traffic is not absorbed."""
WARM_UP = 8
"""Frames before the background is worth comparing with."""
LEAST_CHANGE = 8.0
"""Grey levels that noise alone does not reach."""
RESTLESS = 4.0
"""Times the usual change that counts as motion."""
MARGIN = 0.2
"""By which detections are widened, relative to their size: shadows, spray and lights belong to them."""
LEAST_AREA = 0.0008
"""Share of the picture below which a blob is noise: 11 small pixels."""
MUCH = 0.01
"""Unexplained share of the picture at which the score is 63 %."""
LONGEST_SHIFT = 4.0
"""Small pixels of camera shake that are undone; a larger shift is a camera that was turned."""
LEAST_SHIFT = 0.15
SURE_SHIFT = 0.2
"""Response of the phase correlation below which its shift means nothing."""
EVERYTHING = 0.5
"""Share of moving pixels above which the scene, not something in it, has changed."""

Small = NDArray[np.float32]


class UnexplainedMotion:
    """The background of one camera. Implements `Score`."""

    def __init__(self) -> None:
        self._background: Small | None = None
        self._change: Small | None = None
        self._before: NDArray[np.uint8] | None = None
        self._last: Small | None = None
        self._window: Small | None = None
        self._seen = 0

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return the moving area without a detection, 0..1; None while the background is being learned."""
        small = shrink(frame.image)
        if self._background is None or self._change is None or self._background.shape != small.shape:
            self._background, self._change = small, np.full_like(small, LEAST_CHANGE / RESTLESS)
            self._last, self._before, self._window, self._seen = small, None, window(small), 0
        small = self._steady(small)
        change = cv2.absdiff(small, self._background)
        limit = np.maximum(LEAST_CHANGE, RESTLESS * self._change)
        mask = cv2.morphologyEx((change > limit).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        step = cv2.absdiff(small, small if self._last is None else self._last)
        moving = cv2.dilate((step > LEAST_CHANGE).astype(np.uint8), np.ones((9, 9), np.uint8))
        mask = cv2.bitwise_and(mask, moving)  # what a departed object uncovers differs, but does not move
        self._learn(small, np.asarray(change, np.float32), np.asarray(mask, np.uint8))
        self._seen, self._last = self._seen + 1, small
        wide = None if self._before is None else cv2.dilate(self._before, np.ones((7, 7), np.uint8))
        lasting = mask if wide is None else cv2.bitwise_and(mask, wide)
        self._before = np.asarray(mask, np.uint8)
        if self._seen <= WARM_UP or mask.mean() > EVERYTHING:
            return None
        return judge(np.asarray(lasting, np.uint8), inference.detections.boxes, frame.image.shape)

    def _steady(self, small: Small) -> Small:
        """Return `small` moved back onto the background where the camera shook."""
        if self._background is None or not self._seen:
            return small
        (x, y), sure = cv2.phaseCorrelate(self._background, small, self._window)
        length = max(abs(x), abs(y))
        if sure < SURE_SHIFT or not LEAST_SHIFT < length < LONGEST_SHIFT:
            return small
        move = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
        moved = cv2.warpAffine(small, move, small.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.float32)

    def _learn(self, small: Small, change: Small, mask: NDArray[np.uint8]) -> None:
        assert self._background is not None and self._change is not None  # set by assess
        share = max(LEARNING, 1.0 / (self._seen + 1))
        rate = np.where(mask > 0, max(UNDER_MOTION, share if self._seen < WARM_UP else 0.0), share).astype(np.float32)
        self._background = self._background + rate * (small - self._background)
        self._change = self._change + 0.5 * rate * (change - self._change)


def window(small: Small) -> Small:
    """Return the window that keeps the picture's borders out of the phase correlation."""
    return np.asarray(cv2.createHanningWindow((small.shape[1], small.shape[0]), cv2.CV_32F), np.float32)


def shrink(image: Image) -> Small:
    """Return the picture less its surroundings, grey, WIDTH across."""
    height = max(16, round(image.shape[0] * WIDTH / image.shape[1]))
    step = max(1, image.shape[1] // (2 * WIDTH))  # reading every step-th pixel first costs a fraction of averaging all
    grey = cv2.cvtColor(
        cv2.resize(image[::step, ::step], (WIDTH, height), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY
    )
    small = cv2.GaussianBlur(grey, (3, 3), 0).astype(np.float32)
    return np.asarray(small - cv2.blur(small, (SURROUND, SURROUND)), np.float32)


def judge(mask: NDArray[np.uint8], boxes: NDArray[np.float32], shape: tuple[int, ...]) -> Verdict:
    """Return the verdict on the moving pixels of `mask` that no box (pixels of a picture of `shape`) covers."""
    scale = np.array([mask.shape[1] / shape[1], mask.shape[0] / shape[0]] * 2)
    rest = mask.copy()
    for box in boxes * scale:
        wide, high = MARGIN * (box[2] - box[0]) + 1, MARGIN * (box[3] - box[1]) + 1
        x1, y1, x2, y2 = box[0] - wide, box[1] - high, box[2] + wide, box[3] + high
        rest[max(0, int(y1)) : max(0, int(np.ceil(y2))), max(0, int(x1)) : max(0, int(np.ceil(x2)))] = 0
    count, _, stats, centres = cv2.connectedComponentsWithStats(rest, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA] / mask.size
    big = np.nonzero(areas >= LEAST_AREA)[0] if count > 1 else np.zeros(0, np.int64)
    if not len(big):
        return Verdict(0.0)
    share = float(areas[big].sum())
    largest = int(big[areas[big].argmax()])
    x, y = float(centres[largest + 1][0]) / mask.shape[1], float(centres[largest + 1][1]) / mask.shape[0]
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
