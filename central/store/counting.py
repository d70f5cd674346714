"""Counts over very many rows, which nobody needs to the last one: counted anew only as often as that is cheap.

A database with a million frames takes a tenth of a second to say how many wait, and seconds to count ten million boxes.
`Lasting` keeps an answer for so long that at most `SHARE` of the time goes into asking; the old one is given meanwhile,
and whoever asks waits only for the first. Where asking takes no longer than `QUICK_S`, as in all small databases,
nothing is kept, and every answer is exact.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

SHARE: Final = 0.05
"""Of the time, at most, goes into one count."""
QUICK_S: Final = 0.05
"""Seconds; a page of the queue may take twice as long."""
MOST_S: Final = 60.0
"""Seconds; no answer is older by more than what counting takes."""
_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Lasting(Generic[T]):
    """The answer of `ask`, which each call of the instance returns. One process has one; `clock` tells seconds."""

    def __init__(self, ask: Callable[[], Awaitable[T]], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._held: list[T] = []
        """The last answer, where it is kept."""
        self._until = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self) -> T:
        """Return the answer, at most a little old. Raises what `ask` raises, where none is kept."""
        if not self._held:
            return await self._anew()
        if self._asking is None and self._clock() >= self._until:
            self._asking = asyncio.create_task(self._beside())
        return self._held[0]

    async def _anew(self) -> T:
        began = self._clock()
        found = await self._ask()
        ended = self._clock()
        taken = ended - began
        self._held = [found] if taken > QUICK_S else []
        self._until = ended + min(MOST_S, taken / SHARE)
        return found

    async def _beside(self) -> None:
        try:
            await self._anew()
        except SQLAlchemyError as error:  # who asked has the old answer already
            _log.warning("counting failed; trying again when somebody asks", reason=str(error)[:300])
        finally:
            self._asking = None
