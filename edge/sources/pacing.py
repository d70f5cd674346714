"""When a recorded frame is due: thinning by media time, pacing by the wall clock."""

from __future__ import annotations

import threading
import time

TOLERANCE_S = 1e-4
"""Time stamps of containers are rounded; a frame this early still counts as due."""
LATE_S = 1.0
"""A pacer further behind than this starts afresh instead of rushing after the clock."""


class Thinner:
    """Lets frames through at `fps` per second of media time on average; all of them where `fps` is None."""

    def __init__(self, fps: float | None) -> None:
        self._period = 1.0 / fps if fps else 0.0
        self._next = 0.0

    def due(self, seconds: float) -> bool:
        """Say whether the frame at media time `seconds` is wanted. Call once per frame, in order."""
        if not self._period:
            return True
        if seconds + TOLERANCE_S < self._next:
            return False
        self._next = max(self._next + self._period, seconds)
        return True


class Pacer:
    """Holds frames back until their media time has come on the wall clock."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._start: float | None = None

    def wait(self, seconds: float) -> bool:
        """Wait until media time `seconds`; False where the source was closed meanwhile."""
        now = time.monotonic()
        if self._start is None or now - self._start - seconds > LATE_S:
            self._start = now - seconds
        delay = self._start + seconds - now
        return not (self._stop.wait(delay) if delay > 0 else self._stop.is_set())
