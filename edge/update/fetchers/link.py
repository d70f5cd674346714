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

from edge.update import UpdateError
from edge.update.fetchers import FOLDER, part_path
from protocols.messages import Chunk, Fetch
from protocols.transfer import CHUNK, NOT_THERE, TIMEOUT_S, Transfer, TransferError
from protocols.trust.verify import Approved, MissingError, UnreachableError

TICK_S: Final = 0.2
READ: Final = 1024 * 1024
INBOX: Final = 64
"""Chunks that wait; more than the window ever asks for."""
PATIENCE_S: Final = 30.0
"""Without any answer for a small file, after which the centre counts as unreachable for now."""


class LinkFetcher:
    """Fetches one file at a time. `send` publishes a request; `take` is given every chunk, on any thread."""

    def __init__(
        self,
        data: Path,
        send: Callable[[Fetch], None],
        *,
        chunk: int = CHUNK,
        timeout: float = TIMEOUT_S,
        patience: float = PATIENCE_S,
    ) -> None:
        self._data, self._send, self._chunk, self._timeout, self._patience = data, send, chunk, timeout, patience
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

    def fetch(
        self, address: str, approved: Approved, progress: Callable[[float], None], stop: Callable[[], bool]
    ) -> Path:
        """Return the path of the whole archive. Raises UpdateError, InterruptedError, OSError."""
        path, name = part_path(self._data, address), f"packs/{address}"
        try:
            transfer = self._resumed(path, approved.length)
            with path.open("ab") as file:
                while not transfer.done:
                    if stop():
                        raise InterruptedError
                    self._ask(transfer, name)
                    data = self._next(transfer, name)
                    if data:
                        file.write(data)
                        file.flush()
                        progress(transfer.progress)
        except TransferError as error:
            raise UpdateError(f"fetching: {error}") from None
        return path

    def _resumed(self, path: Path, total: int) -> Transfer:
        transfer = Transfer(total, chunk=self._chunk, timeout=self._timeout)
        with path.open("ab"):
            pass
        try:
            transfer.resume(_blocks(path))
        except TransferError:  # longer than the file is: something else
            path.unlink()
            transfer = Transfer(total, chunk=self._chunk, timeout=self._timeout)
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
        (self._data / FOLDER / f"{address}.part").unlink(missing_ok=True)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(READ):
            yield block
