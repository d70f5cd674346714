"""The quotas that every policy draws under: frames and bytes, per hour and per day, and a least gap.

Each quota is two things at once:

- a bucket for the pace. It fills at the rate of the quota; what it holds steers the draw in proportion (`gain`), which
  is what leads the expected spending back to the quota after a pause, a rush or a change of weight.
- a sliding window for the hard limit: in no hour and no 24 hours is more spent than the quota says.

A kept frame is charged when its gap is over. Until then nothing else can be kept, so nothing is lost by waiting; and
the odds of the frames in the gap are those that they would have had without it, see `edge.select.draw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from edge.select.history import DAY_S, HOUR_S, History, Spent, Window
from protocols.messages import Policy

AIM: Final = 0.985
"""Share of a quota that the pace aims at. The hard limit then seldom binds, which would rule frames out."""
LEVEL_FRAMES: Final = 3.0
"""Least level of a bucket, in frames: room for chance, as a draw has Poisson noise."""
LEVEL_S: Final = {HOUR_S: 10.0, DAY_S: 3600.0}
"""Level of a bucket in seconds of its quota: how fast the pace comes back, and how far a rush may run ahead."""
MOST_GAIN: Final = 12.0
"""Fullest bucket, in levels: after 11 hours without a camera, a day's quota still knows what was not spent."""
FIRST_STEP_S: Final = 0.2
"""Time that the first frame stands for; there is none before it."""
LONGEST_STEP_S: Final = 10.0
"""Longest time that one frame stands for: after a pause the draw does not catch up with one sure frame."""
AUDIT_ROOM: Final = 1.0
"""Frames of room that only the audit may use, so that the hard limit hardly ever rules an audit out."""

Unit = Literal["frames", "bytes"]


@dataclass
class Limit:
    """One quota: at most `amount` of `unit` in any `seconds`."""

    amount: float
    unit: Unit
    seconds: float
    tokens: float = 0.0

    @property
    def rate(self) -> float:
        """Of the quota, per second."""
        return self.amount / self.seconds

    def level(self, cost: float) -> float:
        """What the bucket holds when spending is as it should be, frames costing `cost`."""
        return max(LEVEL_S[self.seconds] * AIM * self.rate, LEVEL_FRAMES * cost)

    def fill(self, elapsed: float, cost: float) -> None:
        """Let `elapsed` seconds pass."""
        self.tokens = min(MOST_GAIN * self.level(cost), self.tokens + AIM * self.rate * elapsed)

    def gain(self, cost: float) -> float:
        """Return the factor that leads the draw back to the quota; 1 where the bucket is at its level."""
        return max(0.0, self.tokens / self.level(cost))


def limits_of(policy: Policy) -> list[Limit]:
    """Return the quotas of `policy`. A whole number of frames fits in a window, and at least one unless it is zero."""
    given: list[tuple[float | None, Unit, float]] = [
        (policy.frames_per_hour, "frames", HOUR_S), (policy.frames_per_day, "frames", DAY_S),
        (policy.bytes_per_hour, "bytes", HOUR_S), (policy.bytes_per_day, "bytes", DAY_S),
    ]  # fmt: skip
    return [Limit(float(amount), unit, seconds) for amount, unit, seconds in given if amount is not None]


@dataclass(frozen=True)
class Allowance:
    """What the quotas give the frame at hand."""

    frames: float
    """Frames that the quotas allow, in the long run, for the time that this frame stands for."""
    gain: float
    """By how much the draw is to be quickened (above 1) or slowed."""
    token: bool
    """Whether the bucket holds a whole frame: what a policy without chance asks."""
    seconds: float
    """Time since the last frame."""


class Quota:
    """The quotas of one camera under one policy. All times are monotonic seconds."""

    def __init__(self, policy: Policy, history: History | None = None) -> None:
        self.limits = limits_of(policy)
        self.history = history or History()
        self._gap, self._reserve = policy.min_gap_s, policy.audit_share
        self._now: float | None = None
        for limit in self.limits:
            limit.tokens = limit.level(self._cost(limit))

    def restore(self, rows: Sequence[Spent], now: float) -> None:
        """Go on at `now` where a node that was restarted left off: `rows` is what it kept, oldest first. To be called
        before the first `step`."""
        self.history.restore(rows)
        for limit in self.limits:
            last, limit.tokens = rows[0].time if rows else now, limit.level(self._cost(limit))
            for row in rows:
                limit.fill(row.time - last, self._cost(limit))
                limit.tokens -= row.frames if limit.unit == "frames" else row.bytes
                last = row.time
            limit.fill(now - last, self._cost(limit))

    def _cost(self, limit: Limit) -> float:
        return 1.0 if limit.unit == "frames" else self.history.mean

    def rate(self) -> float:
        """Return the frames per second that the tightest quota allows, at the mean weight."""
        return min(limit.rate / self._cost(limit) for limit in self.limits)

    def step(self, now: float) -> Allowance:
        """Move to `now` and return what the frame there is allowed."""
        elapsed = FIRST_STEP_S if self._now is None else max(0.0, now - self._now)
        self._now = now
        for limit in self.limits:
            limit.fill(elapsed, self._cost(limit))
        self._charge(now)
        costs = [(limit, self._cost(limit)) for limit in self.limits]
        slow = min(AIM * limit.rate / cost for limit, cost in costs)
        quick = min(AIM * limit.rate / cost * limit.gain(cost) for limit, cost in costs)
        token = all(limit.tokens >= cost for limit, cost in costs)
        return Allowance(slow * min(elapsed, LONGEST_STEP_S), quick / slow if slow else 0.0, token, elapsed)

    def _charge(self, now: float) -> None:
        for pending in self.history.pending:
            if pending.charged is None and now - pending.time >= self._gap:
                pending.charged = self.history.mean
                for limit in self.limits:
                    limit.tokens -= self._cost(limit)
        for pending, size in self.history.move(now):
            charged = pending.charged or 0.0
            for limit in self.limits:
                limit.tokens -= size - charged if limit.unit == "bytes" else float(pending.charged is None)

    def wait(self) -> float:
        """Return the seconds since the last kept frame where they are fewer than the gap, else -1. After `step`."""
        kept, now = self.history.kept, self._now or 0.0
        return now - kept if kept is not None and now - kept < self._gap else -1.0

    def closed(self, audit: bool = False) -> str:
        """Return why the hard limits let no frame in, in words, or an empty string; `audit`: one of the audit."""
        for limit in self.limits:
            span = "hour" if limit.seconds == HOUR_S else "day"
            if limit.amount <= 0:
                return "the quota is zero"
            if self._room(limit) < self._need(limit) * (1.0 if audit else 1.0 + self._kept_free(limit)):
                return f"this {span}'s quota of {limit.unit} is used up"
        return ""

    def _window(self, limit: Limit) -> Window:
        return self.history.hour if limit.seconds == HOUR_S else self.history.day

    def _room(self, limit: Limit) -> float:
        due = [p for p in self.history.pending if (self._now or 0.0) - p.time >= self._gap]
        window = self._window(limit)
        if limit.unit == "frames":
            return max(1.0, float(int(limit.amount))) - window.frames - len(due)
        return limit.amount - window.bytes - sum(p.most for p in due)

    def _need(self, limit: Limit) -> float:
        return 1.0 if limit.unit == "frames" else min(self.history.most, limit.amount)

    def _kept_free(self, limit: Limit) -> float:
        frames = limit.amount / (1.0 if limit.unit == "frames" else self.history.most)
        return min(AUDIT_ROOM, self._reserve * frames)

    def most_bytes(self) -> int | None:
        """Return what a frame kept now may weigh, in bytes; None where no quota counts them."""
        counted = [self._need(limit) for limit in self.limits if limit.unit == "bytes"]
        return int(min(counted)) if counted else None

    def spend(self, now: float) -> None:
        """Count a frame kept at `now`; it is charged once its gap is over."""
        self.history.keep(now, self.most_bytes() or self.history.most)
