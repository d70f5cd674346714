"""What one camera kept within the last hour and the last day. Survives a change of policy.

    kept (frame drawn, weight unknown) -> pending -> settled (weighed, or lost) -> booked into both windows

A pending frame counts with the most that it may weigh, a booked one with what it weighed; both from the time when it
was kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S
BINS: Final = 1000
"""Grain of a sliding window: 3.6 s of an hour, 86 s of a day; a window is never taken shorter than it is."""
PATIENCE_S: Final = 60.0
"""After which a frame that nobody weighed is taken to weigh the most that it may."""
FIRST_BYTES: Final = 1_000_000
"""Most that a frame may weigh before any was weighed: a full HD picture with much detail at quality 90."""
FIRST_MEAN_BYTES: Final = 200_000.0
"""What a frame is taken to weigh before any was weighed."""
HEADROOM: Final = 1.25
"""The next frame may weigh so much more than the heaviest lately."""
FADING: Final = 0.998
"""Per weighed frame: how fast the heaviest is forgotten."""
MEAN_SHARE: Final = 0.1
"""Share of the newest frame in the mean weight: about ten frames are remembered."""


class Window:
    """Sums of frames and bytes over the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.frames, self.bytes = seconds, 0, 0
        self._grain = seconds / BINS
        self._bins: deque[list[int]] = deque()

    def move(self, now: float) -> None:
        """Forget what is older than the window at `now`."""
        index = int(now / self._grain)
        while self._bins and index - self._bins[0][0] > BINS:
            _, frames, size = self._bins.popleft()
            self.frames -= frames
            self.bytes -= size

    def add(self, now: float, size: int, frames: int = 1) -> None:
        """Count `frames` of `size` bytes together at `now`, no earlier than those before."""
        index = int(now / self._grain)
        if not self._bins or self._bins[-1][0] != index:
            self._bins.append([index, 0, 0])
        self._bins[-1][1] += frames
        self._bins[-1][2] += size
        self.frames += frames
        self.bytes += size


@dataclass(frozen=True)
class Spent:
    """Frames kept at about one time (seconds, on the clock of the selection) and what they weighed together, bytes."""

    time: float
    frames: int
    bytes: int


@dataclass
class Pending:
    """A kept frame that was not weighed yet. `charged` is what the buckets were charged for it, in bytes."""

    time: float
    most: int
    charged: float | None = None


@dataclass
class History:
    """What was kept, and what it weighed. Bytes are those of the JPEG."""

    hour: Window = field(default_factory=lambda: Window(HOUR_S))
    day: Window = field(default_factory=lambda: Window(DAY_S))
    kept: float | None = None
    """When the last frame was kept."""
    pending: deque[Pending] = field(default_factory=deque)
    mean: float = FIRST_MEAN_BYTES
    weighed: int = 0
    _largest: float = 0.0
    _sizes: deque[int] = field(default_factory=deque)
    """Weights that another thread told; appending and popping a deque needs no lock."""
    _late: int = 0
    """Frames that were booked unweighed; as many of the weights to come are of them."""

    @property
    def most(self) -> int:
        """Most that the next frame may weigh, bytes."""
        return int(HEADROOM * self._largest) if self.weighed else FIRST_BYTES

    def keep(self, now: float, most: int) -> None:
        """Note that a frame is kept at `now` that may weigh up to `most`."""
        self.kept = now
        self.pending.append(Pending(now, most))

    def settle(self, size: int) -> None:
        """Tell what the oldest kept frame weighed; 0 where it was lost. Any thread."""
        self._sizes.append(size)

    def move(self, now: float) -> list[tuple[Pending, int]]:
        """Book what was weighed since; return it with its weights."""
        done: list[tuple[Pending, int]] = []
        while self._sizes:
            size = self._sizes.popleft()
            if self._late:
                self._late -= 1
            elif self.pending:
                self._weigh(size)
                done.append((self.pending.popleft(), size))
        while self.pending and now - self.pending[0].time > PATIENCE_S:
            self._late += 1
            done.append((self.pending[0], self.pending[0].most))
            self.pending.popleft()
        for window in (self.hour, self.day):
            window.move(now)
            for pending, size in done:
                window.add(pending.time, size)
        return done

    def restore(self, rows: Iterable[Spent]) -> None:
        """Take in what was kept before a restart, oldest first."""
        for row in rows:
            self.kept = row.time
            for window in (self.hour, self.day):
                window.add(row.time, row.bytes, row.frames)
            self._weigh(row.bytes // max(1, row.frames))

    def _weigh(self, size: int) -> None:
        if size <= 0:
            return
        share = max(MEAN_SHARE, 1.0 / (self.weighed + 1))
        self.mean += share * (size - self.mean)
        self._largest = max(float(size), self._largest * FADING)
        self.weighed += 1
