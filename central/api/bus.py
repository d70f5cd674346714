"""The changes of this process as one stream per listener.

A subscriber that does not keep up loses nothing that matters: kinds that wait already are not queued twice, and each
only says "ask again".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from central.notify import Notifier


class Subscriber:
    """The kinds of change that one stream has not told yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._ready = asyncio.Event()
        self.ended = False
        """Whether nothing will come any more."""

    def add(self, kind: str) -> None:
        """Note that something of `kind` changed."""
        self._waiting[kind] = None
        self._ready.set()

    def end(self) -> None:
        """Note that nothing will come any more."""
        self.ended = True
        self._ready.set()

    async def take(self) -> list[str]:
        """Wait for changes and return their kinds, oldest first; none where it `ended`."""
        await self._ready.wait()
        if not self.ended:
            self._ready.clear()
        kinds, self._waiting = list(self._waiting), {}
        return kinds


@contextmanager
def subscribe(notifier: Notifier) -> Iterator[Subscriber]:
    """Listen while the block lasts."""
    subscriber = Subscriber()
    stop = notifier.listen(subscriber.add, subscriber.end)
    try:
        yield subscriber
    finally:
        stop()
