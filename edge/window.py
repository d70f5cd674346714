"""When to connect again, and which frames are under way: the link's decisions, without a network."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

BACKOFF_BASE_S: Final = 1.0
BACKOFF_CAP_S: Final = 60.0
"""Longest wait between attempts: a node is back within a minute of its broker."""
MAX_WINDOW_BYTES: Final = 32 * 1024 * 1024
RETRY_CAP_S: Final = 600.0
"""Longest time that a frame without receipt rests before it is sent again."""
MAX_RESTING: Final = 10_000
"""Frames whose resting time is remembered; an older one is only sent again sooner."""
GIVE_UP: Final = 10
"""Times that a frame goes without receipt while others get theirs, before it is put aside: with the default timeout,
about an hour. A centre that is away or slow for all gives up nothing."""

SUSPECT: Final = 3
"""Connections that ended while a frame was under way, after which it is only sent alone: some brokers answer to what
they do not like by hanging up, and a frame of the highest value would be the first one each time."""


class Backoff:
    """Full-jitter exponential backoff: a uniform draw from 0 to ``min(cap, base * 2**n)`` seconds."""

    def __init__(
        self, base: float = BACKOFF_BASE_S, cap: float = BACKOFF_CAP_S, draw: random.Random | None = None
    ) -> None:
        self._base, self._cap, self._draw, self._failures = base, cap, draw or random.Random(), 0

    def reset(self) -> None:
        """Start anew after a steady connection."""
        self._failures = 0

    def next(self) -> float:
        """Return the seconds to wait before the next attempt."""
        ceiling = min(self._cap, self._base * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return self._draw.uniform(0.0, ceiling)


@dataclass
class _Flight:
    sent: float
    size: int
    answered: int
    """Receipts of other frames when it was sent."""


@dataclass
class Window:
    """Which frames are under way without receipt. Pure: the time is passed in (monotonic seconds)."""

    frames: int
    timeout: float
    give_up: int = GIVE_UP
    flights: dict[str, _Flight] = field(default_factory=dict)
    resting: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Frames that got no receipt: how often, and until when they rest, so that one bad frame never blocks the
    others."""
    resent: int = 0
    silent: int = 0
    """Frames that went without receipt since the last one came."""
    _answered: int = 0
    _snubs: dict[str, int] = field(default_factory=dict)
    _hopeless: dict[str, str] = field(default_factory=dict)
    _losses: dict[str, int] = field(default_factory=dict)
    """Frames that were under way when a connection ended: how often."""
    _seen: dict[str, int] = field(default_factory=dict)
    """Receipts of others until a frame was refused, or a connection ended on it, the last time."""

    def room(self) -> bool:
        """Whether another frame may be sent."""
        if any(self._suspect(frame) for frame in self.flights):
            return False
        return len(self.flights) < self.frames and sum(f.size for f in self.flights.values()) < MAX_WINDOW_BYTES

    def _suspect(self, frame: str) -> bool:
        return self._losses.get(frame, 0) >= SUSPECT

    def blocked(self, now: float) -> set[str]:
        """Return the frames that must not be sent at `now`."""
        alone = (i for i in self._losses if self.flights and self._suspect(i))
        return {*self.flights, *(i for i, (_, until) in self.resting.items() if until > now), *alone}

    def sent(self, frame: str, size: int, now: float) -> None:
        """Note that `frame` (`size` bytes) was handed over."""
        self.flights[frame] = _Flight(now, size, self._answered)

    def receipt(self, frame: str) -> None:
        """Note that `frame` is durably stored."""
        self._answered += 1
        self.silent = 0
        self.forget(frame)

    def forget(self, frame: str) -> None:
        """Note that `frame` is gone from the spool."""
        self.flights.pop(frame, None)
        self.resting.pop(frame, None)
        self._snubs.pop(frame, None)
        self._losses.pop(frame, None)
        self._seen.pop(frame, None)

    def lost(self, now: float = 0.0) -> None:
        """The connection is gone: everything under way is sent again on the next one, what was there several times
        later and alone."""
        flights, self.flights = self.flights, {}
        for frame, flight in flights.items():
            self._since_last(frame, flight)
            times = self._losses[frame] = self._losses.get(frame, 0) + 1
            if times < SUSPECT:
                self.resent += 1
            else:
                self._rest(frame, flight, now, f"the connection ended {times} times when it was sent", self.timeout)
        while len(self._losses) > MAX_RESTING:
            self.forget(next(iter(self._losses)))

    def refused(self, frame: str, reason: str, now: float) -> None:
        """Note that the broker refused `frame`: it rests, as one without receipt does."""
        flight = self.flights.pop(frame, None)
        if flight is not None:
            self._since_last(frame, flight)
            self._rest(frame, flight, now, f"the broker refuses it: {reason}", self.timeout)

    def expire(self, now: float) -> None:
        """Give up waiting for receipts that are overdue; each such frame rests twice as long as the time before."""
        for frame, flight in list(self.flights.items()):
            if now - flight.sent >= self.timeout:
                del self.flights[frame]
                self._rest(frame, flight, now, f"no receipt after {self.give_up} tries, while others got theirs", 0.0)
        while len(self.resting) > MAX_RESTING:
            self.forget(next(iter(self.resting)))

    def hopeless(self) -> dict[str, str]:
        """Return the frames that were to no avail often enough, each with the reason, once."""
        found, self._hopeless = self._hopeless, {}
        return found

    def _since_last(self, frame: str, flight: _Flight) -> None:
        """A refusal comes at once: whether others got receipts is looked at from the last one of this frame on."""
        flight.answered = self._seen.get(frame, self._answered)
        self._seen[frame] = self._answered

    def _rest(self, frame: str, flight: _Flight, now: float, reason: str, first: float) -> None:
        times = self.resting.get(frame, (0, 0.0))[0] + 1
        rest = first if times == 1 else min(RETRY_CAP_S, self.timeout * 2.0 ** (times - 2))
        self.resting[frame] = (times, now + rest)
        self.resent += 1
        self.silent += 1
        if self._answered > flight.answered:
            self._snubs[frame] = self._snubs.get(frame, 0) + 1
            if self._snubs[frame] >= self.give_up:
                self._hopeless[frame] = reason
