"""Pulling a pack's archive through the link into ``fetch/<address>.part``.

The file on disk is the state: a restart goes on behind its last byte. A missing answer is asked for again for as long
as it takes, because links come back; a refusal or a wrong size ends the fetch.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge.update import UpdateError
from protocols.messages import Chunk, Fetch, Release
from protocols.transfer import CHUNK, TIMEOUT_S, Transfer, TransferError

FOLDER: Final = "fetch"
TICK_S: Final = 0.2
READ: Final = 1024 * 1024
INBOX: Final = 64
"""Chunks that wait; more than the window ever asks for."""


class Fetcher:
    """Fetches one archive at a time. `send` publishes a request; `take` is given every chunk, on any thread."""

    def __init__(
        self, data: Path, send: Callable[[Fetch], None], *, chunk: int = CHUNK, timeout: float = TIMEOUT_S
    ) -> None:
        self._folder = data / FOLDER
        self._send, self._chunk, self._timeout = send, chunk, timeout
        self._inbox: queue.Queue[Chunk] = queue.Queue(INBOX)

    def take(self, chunk: Chunk) -> None:
        """Hand in an answer. Dropped where too many wait: it is asked for again."""
        if not self._inbox.full():
            self._inbox.put_nowait(chunk)

    def fetch(self, release: Release, progress: Callable[[float], None], stop: Callable[[], bool]) -> Path:
        """Return the path of the whole archive of `release`. Raises UpdateError; OSError where the disk fails."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{release.pack}.part"
        for old in self._folder.glob("*.part"):
            if old != path:
                old.unlink(missing_ok=True)
        transfer = self._transfer(release)
        with path.open("ab"):
            pass
        try:
            transfer.resume(_blocks(path))
        except TransferError:
            path.unlink()
            transfer = self._transfer(release)
        name = f"packs/{release.pack}"
        with path.open("ab") as file:
            while not transfer.done:
                if stop():
                    raise InterruptedError
                for request in transfer.due(time.monotonic()):
                    mark = f"{release.pack[:12]}-{request.offset}"
                    self._send(Fetch(request=mark, name=name, offset=request.offset, length=request.length))
                data = self._next(transfer, name)
                if data:
                    file.write(data)
                    file.flush()
                    progress(transfer.progress)
        return path

    def _transfer(self, release: Release) -> Transfer:
        try:
            return Transfer(release.size or None, chunk=self._chunk, timeout=self._timeout)
        except TransferError as error:
            raise UpdateError(f"fetching: {error}") from None

    def _next(self, transfer: Transfer, name: str) -> bytes:
        try:
            chunk = self._inbox.get(timeout=TICK_S)
        except queue.Empty:
            return b""
        if chunk.name != name:
            return b""
        try:
            return transfer.answer(chunk.offset, chunk.total, chunk.data, chunk.error)
        except TransferError as error:
            raise UpdateError(f"fetching: {error}") from None

    def discard(self, release: Release) -> None:
        """Delete what was fetched of `release`."""
        (self._folder / f"{release.pack}.part").unlink(missing_ok=True)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(READ):
            yield block
