"""What each camera takes, counted once a minute at most, however many ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, Self
from weakref import WeakKeyDictionary

from central.store.database import Database
from central.store.usage import Camera, usage
from protocols.messages import utc_now

FRESH_S: Final = 60.0
"""Seconds for which a count is good: it goes over all rows."""
_all: WeakKeyDictionary[Database, Stored] = WeakKeyDictionary()


class Stored:
    """The last count of one database. `clock` returns seconds, never decreasing."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._until = float("-inf")
        self._lock = asyncio.Lock()
        self._found: tuple[datetime, list[Camera]] = utc_now(), []

    @classmethod
    def of(cls, database: Database) -> Self:
        """Return the one of `database`."""
        held = _all.get(database)
        if not isinstance(held, cls):
            held = _all[database] = cls(database)
        return held

    def forget(self) -> None:
        """Count anew when asked next."""
        self._until = float("-inf")

    async def get(self) -> tuple[datetime, list[Camera]]:
        """Return when it was counted, and what each camera takes."""
        async with self._lock:
            if self._clock() >= self._until:
                now = utc_now()
                self._found = now, await self._database.run_read(lambda session: usage(session, now))
                self._until = self._clock() + FRESH_S
        return self._found
