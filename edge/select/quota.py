"""The quota that every policy draws under: a token bucket for the pace, a sliding hour for the hard limit.

A kept frame costs one token. Tokens come at the rate of the quota, so the long-run rate is the quota where there
are frames enough; how full the bucket is steers the draw (`gain`), which is what makes the expected rate meet it.
"""

from __future__ import annotations

from collections import deque

from protocols.messages import Policy

HOUR_S = 3600.0
BUCKET_TOKENS = 8.0
"""Smallest bucket: room for chance. A draw with Poisson noise overflows a smaller one and falls short of the quota."""
BUCKET_S = 10.0
"""Seconds of quota that a bucket holds where that is more: a generous quota may not save up for long bursts."""
START_SHARE = 0.5
"""Of the bucket at the start, where `gain` is one: short recordings get frames from their first seconds."""
BIN_S = 60.0
"""Grain of the sliding hour; an hour is never taken shorter than it is."""
FIRST_STEP_S = 0.2
"""Time that the first frame stands for; there is none before it."""
LONGEST_STEP_S = 10.0
"""Longest time that one frame stands for: after a pause the draw does not catch up with one sure frame."""


class Quota:
    """Frames per hour and the minimum gap of one camera. All times are monotonic seconds."""

    def __init__(self, policy: Policy) -> None:
        self._rate = policy.frames_per_hour / HOUR_S
        self._gap = policy.min_gap_s
        self._hourly = max(1, int(policy.frames_per_hour)) if policy.frames_per_hour > 0 else 0
        self._size = max(BUCKET_TOKENS, self._rate * BUCKET_S)
        self._tokens = self._size * START_SHARE
        self._now: float | None = None
        self._kept: float | None = None
        self._bins: deque[tuple[int, int]] = deque()

    def step(self, now: float) -> float:
        """Move to `now` and return how many frames the quota allows for the time since the last frame."""
        elapsed = FIRST_STEP_S if self._now is None else max(0.0, now - self._now)
        self._now = now
        self._tokens = min(self._size, self._tokens + self._rate * elapsed)
        while self._bins and (int(now / BIN_S) - self._bins[0][0]) * BIN_S > HOUR_S:
            self._bins.popleft()
        return self._rate * min(elapsed, LONGEST_STEP_S)

    def closed(self) -> str:
        """Return why no frame can be kept now, in words, or an empty string. Call after `step`."""
        now = self._now or 0.0
        if not self._hourly:
            return "the quota is zero"
        if self._kept is not None and now - self._kept < self._gap:
            return f"only {now - self._kept:.1f} s after the last kept frame"
        if sum(count for _, count in self._bins) >= self._hourly:
            return "this hour's quota is used up"
        return "" if self._tokens >= 1.0 else "the quota is used up for now"

    def gain(self) -> float:
        """Return the factor that leads the draw back to the quota: 1 for a half-full bucket, unbounded when full."""
        fill = (self._tokens - 1.0) / (self._size - 1.0)
        return fill / max(1e-6, 1.0 - fill) if fill > 0 else 0.0

    def spend(self) -> None:
        """Count a kept frame."""
        now = self._now or 0.0
        self._kept, self._tokens = now, self._tokens - 1.0
        index = int(now / BIN_S)
        count = self._bins.pop()[1] if self._bins and self._bins[-1][0] == index else 0
        self._bins.append((index, count + 1))
