"""Who is told when something changes: every open event stream of this process.

A subscriber that does not keep up loses nothing that matters: kinds that wait already are not queued twice, and each
only says "ask again".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

from central.api.schemas import EventKind

KINDS = frozenset(get_args(EventKind))


class Subscriber:
    """The kinds of change that one stream has not told yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._ready = asyncio.Event()

    def add(self, kind: str) -> None:
        """Note that something of `kind` changed."""
        self._waiting[kind] = None
        self._ready.set()

    async def take(self) -> list[str]:
        """Wait for changes and return their kinds, oldest first."""
        await self._ready.wait()
        self._ready.clear()
        kinds, self._waiting = list(self._waiting), {}
        return kinds


class Bus:
    """Tells every subscriber of changes. `publish` only from the event loop's thread."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()

    def __len__(self) -> int:
        return len(self._subscribers)

    def publish(self, kind: str) -> None:
        """Tell everybody that something of `kind` changed."""
        if kind not in KINDS:
            raise ValueError(f"no event kind {kind!r}; there are {', '.join(sorted(KINDS))}")
        for subscriber in self._subscribers:
            subscriber.add(kind)

    @contextmanager
    def subscribe(self) -> Iterator[Subscriber]:
        """Listen while the block lasts."""
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)
