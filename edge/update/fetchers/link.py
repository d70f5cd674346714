"""Over the link: `fetch` asks for a piece of a file, `chunks` brings it.

The part on disk is the state: a restart goes on behind its last byte. A missing answer is asked for again for as long
as it takes, because links come back; a refusal or a wrong size ends the fetch.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge.update import UpdateError, fetchers
from edge.update.fetchers import Pace, Progress, Stop, delta_part, part_path
from protocols.messages import Chunk, Fetch
from protocols.transfer import CHUNK, MAX_TOTAL, NOT_THERE, TIMEOUT_S, Transfer, TransferError
from protocols.trust.verify import Approved, MissingError, UnreachableError

TICK_S: Final = 0.2
READ: Final = 1024 * 1024
INBOX: Final = 64
"""Chunks that wait; more than the window ever asks for."""
LEAST_CHUNK: Final = 16 * 1024
"""Bytes per request on the slowest link: less would be all headers."""
PATIENCE_S: Final = 30.0
"""Without any answer for a small file, after which the centre counts as unreachable for now."""


class LinkFetcher:
    """Fetches one file at a time. `send` publishes a request; `take` is given every chunk, on any thread; `rate` in
    bytes per second holds for archives and deltas."""

    def __init__(
        self,
        data: Path,
        send: Callable[[Fetch], None],
        *,
        chunk: int = CHUNK,
        timeout: float = TIMEOUT_S,
        patience: float = PATIENCE_S,
        rate: int | None = None,
    ) -> None:
        self._data, self._send, self._timeout, self._patience = data, send, timeout, patience
        self._chunk = chunk if rate is None else min(chunk, max(LEAST_CHUNK, rate))
        self._pace = Pace(rate)
        self._inbox: queue.Queue[Chunk] = queue.Queue(INBOX)

    def take(self, chunk: Chunk) -> None:
        """Hand in an answer. Dropped where too many wait: it is asked for again."""
        if not self._inbox.full():
            self._inbox.put_nowait(chunk)

    def read(self, name: str, limit: int) -> bytes:
        """Return the small file `name`. Raises MissingError, UnreachableError."""
        transfer = Transfer(chunk=min(self._chunk, limit + 1), timeout=self._timeout)
        data, heard = b"", time.monotonic()
        try:
            while not transfer.done and len(data) <= limit:
                if time.monotonic() - heard > self._patience:
                    raise UnreachableError(f"no answer to {name} within {self._patience:.0f} s")
                self._ask(transfer, name)
                before = transfer.total
                piece = self._next(transfer, name)
                if piece or transfer.total != before:
                    data, heard = data + piece, time.monotonic()
        except TransferError as error:
            if str(error) == NOT_THERE:
                raise MissingError(name) from None
            raise UnreachableError(f"{name}: {error}") from None
        return data

    def fetch(self, address: str, approved: Approved, progress: Progress, stop: Stop) -> Path:
        """Return the path of the whole archive. Raises UpdateError, InterruptedError, OSError."""
        path = part_path(self._data, address)
        try:
            self._pull(path, f"packs/{address}", self._resumed(path, approved.length), progress, stop)
        except TransferError as error:
            raise UpdateError(f"fetching: {error}") from None
        return path

    def delta(self, name: str, limit: int, progress: Progress, stop: Stop) -> Path:
        """Return the path of the whole delta. Raises MissingError, UpdateError, InterruptedError, OSError."""
        path = delta_part(self._data, name)
        try:
            self._pull(path, name, self._resumed(path, None, limit), progress, stop)
        except TransferError as error:
            path.unlink(missing_ok=True)
            if str(error) == NOT_THERE:
                raise MissingError(name) from None
            raise UpdateError(f"fetching: {name}: {error}") from None
        return path

    def _pull(self, path: Path, name: str, transfer: Transfer, progress: Progress, stop: Stop) -> None:
        with path.open("ab") as file:
            while not transfer.done:
                if stop():
                    raise InterruptedError
                if not self._pace.left(time.monotonic()):
                    self._ask(transfer, name)
                data = self._next(transfer, name)
                if data:
                    self._pace.spent(len(data), time.monotonic())
                    file.write(data)
                    file.flush()
                    progress(transfer.progress)

    def _resumed(self, path: Path, total: int | None, limit: int = MAX_TOTAL) -> Transfer:
        def fresh() -> Transfer:
            return Transfer(total, chunk=self._chunk, timeout=self._timeout, limit=limit)

        transfer = fresh()
        with path.open("ab"):
            pass
        try:
            transfer.resume(_blocks(path))
        except TransferError:  # longer than the file is: something else
            path.unlink()
            transfer = fresh()
        return transfer

    def _ask(self, transfer: Transfer, name: str) -> None:
        for request in transfer.due(time.monotonic()):
            mark = f"{name[-64:][:24]}-{request.offset}"
            self._send(Fetch(request=mark, name=name, offset=request.offset, length=request.length))

    def _next(self, transfer: Transfer, name: str) -> bytes:
        """Return the next bytes of the file, which may be none. Raises TransferError."""
        try:
            chunk = self._inbox.get(timeout=TICK_S)
        except queue.Empty:
            return b""
        if chunk.name != name:
            return b""
        return transfer.answer(chunk.offset, chunk.total, chunk.data, chunk.error)

    def discard(self, address: str) -> None:
        """Delete what was fetched of pack `address`."""
        fetchers.discard(self._data, address)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(READ):
            yield block
