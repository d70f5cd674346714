"""Asking from time to time whether the centre still signs, so that a node that is kept from news notices by itself.

Whoever stands between node and centre can withhold offers for ever; what he cannot do is sign. The centre signs its
timestamp anew every day, with an end: a node that looks, and finds one that ended, knows that what it is shown is old.

Only durations of the monotonic clock are used here, and time that the centre proved (`protocols.trust.verify`): a wrong
clock raises nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from protocols.trust import TIMESTAMP_LIFETIME, TrustError
from protocols.trust.verify import UnreachableError

log = structlog.get_logger("edge.update")

PERIOD_S: Final = 6 * 3600.0
"""Several times within the life of a timestamp."""
FIRST_S: Final = 60.0
"""Seconds after the start: not while everything starts."""
AGAIN_S: Final = 300.0
"""Seconds after a look to which nobody answered, or shorter where the period is."""


class Freshness:
    """When to look, and what was found. `look` asks the centre: raises TrustError, UnreachableError, OSError.

    `problem` is one sentence, empty where all is well; it may be read on any thread.
    """

    def __init__(
        self, look: Callable[[], object], period: float = PERIOD_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.problem = ""
        self._look, self._period, self._clock = look, period, clock
        self._next = clock() + min(FIRST_S, period)
        self._heard = clock()
        self._silence = max(TIMESTAMP_LIFETIME.total_seconds(), 2 * period)

    def tend(self) -> None:
        """Look, where it is time to. Raises OSError."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + self._period
        try:
            self._look()
        except TrustError as error:
            self._heard = now
            self._found(f"what the centre signs is refused: {error}")
        except UnreachableError as error:
            self._next = now + min(AGAIN_S, self._period)
            if now - self._heard >= self._silence:
                days = (now - self._heard) / 86400
                self._found(f"frozen: nothing signed was heard of the centre for {days:.1f} days ({error})")
        else:
            self._heard = now
            if self.problem:
                log.info("what the centre signs is fresh again")
            self.problem = ""

    def _found(self, problem: str) -> None:
        if problem != self.problem:
            log.error("releases", problem=problem)
        self.problem = problem
