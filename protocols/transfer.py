"""Resumable pull of one file over any link that carries requests and answers: a state machine without IO or clock.

    due(now) -> requests to send          answer(...) -> bytes to append to the file, in order
                     \\______ the link ______/

Up to `window` requests are outstanding; an answer that does not come within `timeout` seconds is asked for again.
Answers may come late, twice or out of order: what was asked for is known by its offset, nothing is applied twice, and
bytes are released strictly in order, so the length of the file written so far is all there is to remember across a
restart (`resume`). At the end the SHA-256 is compared where one is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CHUNK: Final = 256 * 1024
"""Bytes per request: small enough for any broker's default limit, large enough that headers do not matter."""
WINDOW: Final = 4
"""Requests outstanding: covers a round trip of 100 ms at 80 Mbit/s."""
TIMEOUT_S: Final = 5.0
"""Seconds without an answer after which a request is sent again."""
MAX_TOTAL: Final = 512 * 1024 * 1024 + 1024 * 1024
"""Bytes: the largest pack and its archive's headers."""


NOT_THERE: Final = "no such file"
"""The error of a chunk that says that the other side does not have the file at all."""


class TransferError(Exception):
    """A transfer that cannot succeed: the other side refused, the size is wrong, or the content is."""


@dataclass(frozen=True)
class Request:
    """`length` bytes of the file from `offset`, please. `attempt` counts from 1."""

    offset: int
    length: int
    attempt: int


@dataclass
class _Asked:
    length: int
    attempt: int
    sent: float


class Transfer:
    """The pull of one file of `total` bytes (None: learnt from the first answer) with the given `sha256` (None: not
    known)."""

    def __init__(
        self,
        total: int | None = None,
        sha256: str | None = None,
        *,
        chunk: int = CHUNK,
        window: int = WINDOW,
        timeout: float = TIMEOUT_S,
        limit: int = MAX_TOTAL,
    ) -> None:
        if total is not None and total > limit:
            raise TransferError(f"{total} bytes, more than the {limit} allowed")
        self.total = total
        self.received = 0
        """Bytes released so far; equals the length of the file."""
        self._sha256 = sha256
        self._hash = hashlib.sha256()
        self._chunk, self._window, self._timeout, self._limit = chunk, window, timeout, limit
        self._asked: dict[int, _Asked] = {}
        self._early: dict[int, bytes] = {}
        self._next = 0

    def resume(self, blocks: Iterable[bytes]) -> None:
        """Count the bytes of `blocks`, kept from an earlier attempt, as received. Before the first `due`."""
        for block in blocks:
            self._hash.update(block)
            self.received += len(block)
        if self.total is not None and self.received > self.total:
            raise TransferError(f"{self.received} bytes are already there, the file has {self.total}")
        self._next = self.received

    @property
    def done(self) -> bool:
        """Whether every byte was received."""
        return self.total is not None and self.received == self.total

    @property
    def progress(self) -> float:
        """Share of the file that was received, 0..1."""
        return min(1.0, self.received / self.total) if self.total else float(self.done)

    def due(self, now: float) -> list[Request]:
        """Return the requests to send at monotonic time `now`: overdue ones again, then new ones up to the window."""
        requests = []
        for offset, asked in sorted(self._asked.items()):
            if now - asked.sent >= self._timeout:
                asked.attempt, asked.sent = asked.attempt + 1, now
                requests.append(Request(offset, asked.length, asked.attempt))
        # Until the size is known one request suffices to learn it. Early answers count, as they wait in memory.
        window = 1 if self.total is None else self._window
        while len(self._asked) + len(self._early) < window and (self.total is None or self._next < self.total):
            length = self._chunk if self.total is None else min(self._chunk, self.total - self._next)
            self._asked[self._next] = _Asked(length, 1, now)
            requests.append(Request(self._next, length, 1))
            self._next += length
        return requests

    def answer(self, offset: int, total: int, data: bytes, error: str = "") -> bytes:
        """Take an answer and return the bytes to append to the file, which may be none. Raises TransferError."""
        asked = self._asked.get(offset)
        if asked is None:
            return b""
        if error:
            raise TransferError(error)
        self._learn(total)
        if not data and self.received != self.total:
            raise TransferError(f"empty answer at {offset} of {total} bytes")
        if len(data) > asked.length:
            raise TransferError(f"{len(data)} bytes at {offset}, {asked.length} were asked for")
        del self._asked[offset]
        if len(data) < asked.length and offset + len(data) < total:
            self._asked[offset + len(data)] = _Asked(asked.length - len(data), 1, float("-inf"))
        self._early[offset] = data
        return self._release()

    def _learn(self, total: int) -> None:
        if self.total is None:
            if total > self._limit:
                raise TransferError(f"{total} bytes, more than the {self._limit} allowed")
            self.total = total
            self._next = min(self._next, total)
        elif total != self.total:
            raise TransferError(f"the file has {total} bytes, {self.total} were announced")
        if self.received > self.total:
            raise TransferError(f"{self.received} bytes are already there, the file has {self.total}")

    def _release(self) -> bytes:
        ready = []
        while (block := self._early.pop(self.received, None)) is not None:
            ready.append(block)
            self._hash.update(block)
            self.received += len(block)
            if not block:
                break
        if self.done and self._sha256 is not None and self._hash.hexdigest() != self._sha256:
            raise TransferError("the content does not have the announced SHA-256")
        return b"".join(ready)
