"""How far the scene has moved on since the last kept frame: what came just after it shows much the same.

    change   = sum over frames of sqrt(d - STILL), d the cosine distance of neighbouring embeddings
    usual    = mean change per second / frames that the quotas allow per second
    turns    = change / usual + IDLE x time / usual time
    factor   = 1 - exp(-(AHEAD turns)^STEEPNESS)          at least FLOOR, and the square of the share of frames allowed

The root of d is, but for a constant, the length of the way that the embedding went; so an hour in which nothing happens
is as short as it looks, and a minute full of events long. Frames are then kept at nearly even distances along that way:
as in systematic sampling (Madow 1949) they cover it with less repetition than independent draws would, but each is
still drawn by chance, with odds that are known beforehand. Where there is no embedding, time stands for change; where
the quotas allow most of what is seen, there is nothing to space.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.assess.novelty import LEAST_USUAL as STILL
from edge.select.quota import LONGEST_STEP_S, Allowance

AHEAD: Final = 1.1
"""Draws come a little before their turn, so that the quota is used although some come late."""
STEEPNESS: Final = 4.0
"""At half a turn a frame has a tenth of its odds, after a whole one three quarters."""
FLOOR: Final = 0.005
"""Of the odds just after a kept frame: small, never zero, so that no frame is ruled out."""
IDLE: Final = 0.1
"""Turns for each turn of time in which nothing changes, so that a still scene does not leave its quota unused."""
MOST: Final = 2.0
"""Turns past which it is certain that the scene has moved on."""
TOLERANCE_S: Final = 1e-6
"""Sums of frame times are rounded."""


class OverTime:
    """A mean over the last `memory` seconds, forgetting exponentially."""

    def __init__(self, memory: float) -> None:
        self.mean, self._memory, self._seen = 0.0, memory, 0.0

    def add(self, value: float, seconds: float) -> float:
        """Take in `value`, which stands for `seconds`, and return the mean."""
        self._seen = min(self._memory, self._seen + seconds)
        share = min(1.0, 2.0 * seconds / self._seen) if self._seen else 1.0  # the newest count most, at the start too
        self.mean += share * (value - self.mean)
        return self.mean


@dataclass(frozen=True)
class Moved:
    """Change and time since a frame."""

    change: float
    seconds: float

    def on(self, step: Moved) -> Moved:
        """Return this and a further `step`."""
        return Moved(self.change + step.change, self.seconds + step.seconds)

    def turns(self, change_rate: float, frame_rate: float) -> float:
        """Return how many frames would usually have been kept meanwhile, at these rates per second."""
        waited = IDLE * self.seconds * frame_rate
        return waited + (self.change * frame_rate / change_rate if change_rate > 0.0 else 0.0)


class Spacing:
    """The change since the last kept frame of one camera, relative to the usual change from one to the next.

    A kept frame counts from the end of its gap on: the odds within the gap are those that there would have been without
    it, see `edge.select.draw`."""

    def __init__(self, gap: float, memory: float) -> None:
        self._gap, self._usual = gap, OverTime(memory)
        self._last: NDArray[np.float32] | None = None
        self._moved = Moved(float("inf"), float("inf"))
        self._since_kept: Moved | None = None

    def factor(self, embedding: NDArray[np.float32] | None, allowance: Allowance) -> float:
        """Return by how much the odds of this frame, asked once for each in order, are lessened: FLOOR..1."""
        seconds = min(allowance.seconds, LONGEST_STEP_S)
        step = Moved(self._step(embedding, seconds), seconds)
        self._moved = self._moved.on(step)
        if self._since_kept is not None:
            self._since_kept = self._since_kept.on(Moved(step.change, allowance.seconds))
            if self._since_kept.seconds >= self._gap - TOLERANCE_S:
                self._moved, self._since_kept = self._since_kept, None
        if seconds <= 0.0 or allowance.frames <= 0.0:
            return 1.0  # no time, no quota: nothing will be drawn
        rate = self._usual.add(step.change / seconds, seconds)
        turns = self._moved.turns(rate, allowance.frames / seconds)
        generous = min(1.0, allowance.frames) ** 2
        return max(FLOOR, generous, 1.0 - exp(-(min(MOST, AHEAD * turns) ** STEEPNESS)))

    def _step(self, embedding: NDArray[np.float32] | None, seconds: float) -> float:
        last, self._last = self._last, embedding
        if embedding is None:
            return seconds
        if last is None or last.shape != embedding.shape:
            return 0.0
        return sqrt(max(0.0, 1.0 - float(last @ embedding) - STILL))

    def kept(self) -> None:
        """Note that the frame just asked about is kept."""
        self._since_kept = Moved(0.0, 0.0)
