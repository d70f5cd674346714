"""Bounds on what is under way between the network thread and the event loop, in both directions."""

from __future__ import annotations

import threading
from typing import Final

GATE_BYTES: Final = 64 * 1024 * 1024
"""Received and not yet processed; four of the largest frames, or about a thousand ordinary ones."""
OUT_BYTES: Final = 64 * 1024 * 1024
"""Published and not yet acknowledged by the broker; beyond it `publish` refuses."""


class Gate:
    """Bounds the bytes between the network thread and the event loop."""

    def __init__(self, limit: int = GATE_BYTES) -> None:
        self._limit, self._held, self._open = limit, 0, True
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """Bytes inside."""
        return self._held

    def enter(self, size: int, timeout: float) -> bool:
        """Wait up to `timeout` seconds for room; something larger than the limit passes alone. False: no room."""
        with self._changed:
            fits = self._changed.wait_for(
                lambda: not self._open or self._held == 0 or self._held + size <= self._limit, timeout
            )
            if not fits or not self._open:
                return False
            self._held += size
            return True

    def leave(self, size: int) -> None:
        """Give back what `enter` took."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more; whoever waits is sent away."""
        with self._changed:
            self._open = False
            self._changed.notify_all()


class UnderWay:
    """Bytes published on one connection and not yet acknowledged. Its lock is never held while the library is called:
    the library holds one of its own while it reports an acknowledgement."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._early: set[int] = set()
        self._total = 0
        self._lock = threading.Lock()

    def fits(self, size: int) -> bool:
        """Whether `size` more bytes may be published."""
        return self._total + size <= OUT_BYTES

    def sent(self, mid: int, size: int) -> None:
        """Note that message `mid` was handed over."""
        with self._lock:
            if mid in self._early:  # the acknowledgement overtook us
                self._early.discard(mid)
                return
            self._sizes[mid] = size
            self._total += size

    def acknowledged(self, mid: int) -> None:
        """Note that the broker has message `mid`."""
        with self._lock:
            size = self._sizes.pop(mid, None)
            if size is None:
                self._early.add(mid)
            else:
                self._total -= size
