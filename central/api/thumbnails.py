"""Live thumbnails, asked for once however many people look.

A wall of screens asks for the same camera many times a second; its node is asked at most once in `FRESH_S`, and those
who come while it is being asked share the answer. A node that did not answer is left alone for `SILENT_S`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

FRESH_S: Final = 2.0
"""Seconds for which an image is live enough."""
SILENT_S: Final = 10.0
"""Seconds before a node that did not answer is asked again."""
MAX_ENTRIES: Final = 512
"""Cameras that are remembered, at some 30 KB each."""


def is_jpeg(data: bytes) -> bool:
    """Say whether `data` begins and ends like a JPEG; nothing else is passed on to a browser as one."""
    return data[:3] == b"\xff\xd8\xff" and data[-2:] == b"\xff\xd9"


@dataclass
class _Entry:
    task: asyncio.Future[bytes | None]
    until: float = float("inf")


class Thumbnails:
    """A cache of images by camera. `clock` returns seconds, never decreasing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[tuple[str, str], _Entry] = {}

    async def get(self, node: str, camera: str, ask: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """Return the newest image of a camera, from `ask` where the one at hand is too old; None: there is none."""
        key = (node, camera)
        entry = self._entries.get(key)
        if entry is None or self._clock() >= entry.until:
            while len(self._entries) >= MAX_ENTRIES:
                del self._entries[next(iter(self._entries))]
            entry = self._entries[key] = _Entry(asyncio.ensure_future(ask()))
            entry.task.add_done_callback(partial(self._settle, entry))
        return await asyncio.shield(entry.task)

    def _settle(self, entry: _Entry, done: asyncio.Future[bytes | None]) -> None:
        answered = not done.cancelled() and done.exception() is None and done.result() is not None
        entry.until = self._clock() + (FRESH_S if answered else SILENT_S)
