"""What a camera's own motion allows to learn: depth needs a camera that moves from place to place.

    clips -> corners tracked from frame to frame -> cells of the picture -> how far they move (flow)
                                                 -> what one homography leaves of it (parallax)

A fixed camera has no flow; shake, pan, tilt and zoom have flow but no parallax: a homography takes all of it away,
whatever the depth. Both are medians over the cells of a picture, then over all pairs of frames: cells, not corners, so
that a vehicle full of corners does not outvote the street. Traffic leaves parallax of its own where it fills a part of
the picture, which is why that of half of the picture counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Grey, ``[H, W]``."""
Points = NDArray[np.float32]
FLOW_PX: Final = 0.5
"""The background of a camera that moves flows further than this from frame to frame, pixels."""
PARALLAX_PX: Final = 0.3
"""What a homography must leave of it, pixels, before depth shows."""
CLIPS: Final = 24
"""Clips looked at: enough for a median, a second of work."""
CORNERS: Final = 10
"""Of each cell of the picture."""
APART: Final = 6
"""Pixels between corners."""
QUALITY: Final = 2e-4
"""Least eigenvalue of the gradients about a corner, as OpenCV scales it: below, there is only noise."""
WIDEST: Final = 640
"""Pixels that frames are shrunk to: about what is learned from, and measured quickly."""
GRID: Final = (6, 8)
"""Cells, rows and columns, that a picture's tracks are gathered in."""
FEW: Final = 12
"""Fewer tracks than this say nothing (fog, night, a covered lens)."""
RETURN_PX: Final = 0.3
"""A track that does not come back to within this, followed backwards, is none."""


class Motion(NamedTuple):
    """How a camera moves between two frames, in pixels of the frames; 0 and 0 where nothing can be tracked."""

    flow: float
    parallax: float

    @property
    def refusal(self) -> str | None:
        """Why depth cannot be learned from this, or None."""
        if self.flow <= FLOW_PX:
            return f"the camera stands still (its background moves {self.flow:.2f} px a frame, {FLOW_PX} are needed)"
        if self.parallax <= PARALLAX_PX:
            return (
                f"the camera only turns, zooms or shakes (a homography explains its motion to {self.parallax:.2f} px, "
                f"{PARALLAX_PX} must be left)"
            )
        return None


def _corners(image: Image) -> Points:
    """Return corners ``[N, 1, 2]``, as many from each cell of the picture: the street counts as its traffic does."""
    height, width = image.shape
    quality = cv2.cornerMinEigenVal(image, 5)
    found = []
    for row in range(GRID[0]):
        for column in range(GRID[1]):
            y, x = row * height // GRID[0], column * width // GRID[1]
            cell = quality[y : (row + 1) * height // GRID[0], x : (column + 1) * width // GRID[1]].copy()
            for _ in range(CORNERS):
                _, best, _, (left, top) = cv2.minMaxLoc(cell)
                if best < QUALITY:
                    break
                found.append((x + left, y + top))
                cv2.circle(cell, (left, top), APART, 0.0, -1)
    return np.array(found, np.float32).reshape(-1, 1, 2)


def tracks(before: Image, after: Image) -> tuple[Points, Points]:
    """Return where corners of `before` are in it and in `after`, both ``[N, 2]``; only those that track both ways."""
    corners = _corners(before)
    if not len(corners):
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None)  # type: ignore[call-overload]
    sure = (found[:, 0] > 0) & (again[:, 0] > 0) & (np.linalg.norm(back - corners, axis=2)[:, 0] < RETURN_PX)
    return corners[sure, 0], there[sure, 0]


def by_cell(points: Points, values: NDArray[np.floating[Any]], height: int, width: int) -> NDArray[np.float64]:
    """Return the median of `values` ``[N]`` in each cell of the picture that has any of `points` ``[N, 2]``."""
    rows = np.clip(points[:, 1] * GRID[0] / height, 0, GRID[0] - 1).astype(int)
    columns = np.clip(points[:, 0] * GRID[1] / width, 0, GRID[1] - 1).astype(int)
    cell = rows * GRID[1] + columns
    return np.array([np.median(values[cell == c]) for c in np.unique(cell)], np.float64)


def between(before: Image, after: Image) -> Motion:
    """Return how the camera moved from one grey picture ``[H, W]`` to the next."""
    here, there = tracks(before, after)
    if len(here) < FEW:
        return Motion(0.0, 0.0)
    height, width = before.shape
    flow = by_cell(here, np.linalg.norm(there - here, axis=1), height, width)
    found, _ = cv2.findHomography(here, there, cv2.RANSAC, 1.0)
    if found is None:
        return Motion(float(np.median(flow)), 0.0)
    taken = cv2.perspectiveTransform(here[:, None].astype(np.float64), found)[:, 0]
    left = by_cell(here, np.linalg.norm(taken - there, axis=1), height, width)
    return Motion(float(np.median(flow)), float(np.median(left)))


def _grey(frame: Any) -> Image:
    image = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
    scale = WIDEST / image.shape[1]
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def motion(clips: Iterable[Sequence[Any]]) -> Motion:
    """Return how the camera moves in `clips` of BGR frames in the order of time: medians over pairs of neighbours."""
    found = []
    for clip in clips:
        greys = [_grey(frame) for frame in clip]
        found += [between(a, b) for a, b in pairwise(greys)]
    if not found:
        return Motion(0.0, 0.0)
    return Motion(*(float(np.median([m[i] for m in found])) for i in range(2)))


def refusal(clips: Iterable[Sequence[Any]]) -> str | None:
    """Return why depth and the camera's way cannot be learned from `clips`, one line; None where they can."""
    clips = list(clips)
    if not clips:
        return "there is no video in this material: frames of one camera in a row, with times"
    why = motion(clips).refusal
    return why and (
        f"depth is unobservable in these clips: {why}; what works there: 'egomotion' (shake, pan, tilt, zoom) and "
        "'depth_order' (order of depth from boxes on the ground)"
    )
