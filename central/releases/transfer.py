"""Answers nodes that fetch files, piece by piece. The nodes keep count; nothing is remembered here between pieces."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from central.link import Publisher
from central.releases.registry import archive_path, delta_path
from protocols import codec
from protocols.messages import Chunk, Fetch
from protocols.transfer import NOT_THERE

log = structlog.get_logger("central.transfer")

MAX_CHUNK: Final = 1024 * 1024
"""Bytes of one answer, whatever was asked for: so that one node's piece does not hold up everybody's."""
WAITING: Final = 512
"""Requests of all nodes together; beyond it they are dropped, and asked again by the nodes after their timeout."""
PER_NODE: Final = 8
"""Requests of one node; twice the window that nodes use."""
_NAME = re.compile(r"^packs/([0-9a-f]{64})\Z")
_DELTA = re.compile(r"^deltas/[0-9a-f]{32}\.[0-9a-f]{64}\Z")

BURST_S: Final = 2.0
"""Seconds of its rate that a node may have saved up: a window of pieces at once does not wait."""

Signed = Callable[[str], bytes | None]
"""Return the small file with this name, None where there is none (`central.releases.signing.Signing.read`)."""


@dataclass
class TransferCounters:
    """What was fetched since the start."""

    answered: int = 0
    bytes: int = 0
    errors: int = 0
    dropped: int = 0


class Rates:
    """How long each node's next piece has to wait, so that none gets more than `rate` bytes per second on average.

    Pure: the time is passed in (monotonic seconds). None: nobody waits."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._free: dict[str, float] = {}

    def wait(self, node: str, size: int, now: float) -> float:
        """Take `size` bytes for `node` and return the seconds until they may go."""
        if self._rate is None:
            return 0.0
        if len(self._free) > WAITING:  # those that saved up all they may are as new ones
            self._free = {name: free for name, free in self._free.items() if free > now - BURST_S}
        start = max(self._free.get(node, float("-inf")), now - BURST_S)
        self._free[node] = start + size / self._rate
        return max(0.0, start - now)


def answer(folder: Path, fetch: Fetch, signed: Signed = lambda _name: None) -> Chunk:
    """Return the piece of a file that `fetch` asks for, or an answer with the error: archives are in `folder`, small
    files come from `signed`."""

    def refuse(reason: str, total: int = 0) -> Chunk:
        return Chunk(request=fetch.request, name=fetch.name, offset=fetch.offset, total=total, error=reason)

    match, change = _NAME.match(fetch.name), _DELTA.match(fetch.name)
    if match is None and change is None:
        whole = signed(fetch.name)
        if whole is None:
            return refuse(NOT_THERE)
        piece = whole[fetch.offset : fetch.offset + min(fetch.length, MAX_CHUNK)]
        return Chunk(request=fetch.request, name=fetch.name, offset=fetch.offset, total=len(whole), data=piece)
    try:
        path = archive_path(folder, match[1]) if match else delta_path(folder, fetch.name)
        with path.open("rb") as file:
            total = file.seek(0, 2)
            if fetch.offset > total:
                return refuse("offset beyond the end of the file", total)
            file.seek(fetch.offset)
            data = file.read(min(fetch.length, MAX_CHUNK))
    except FileNotFoundError:
        return refuse("no such pack here" if match else NOT_THERE)
    except OSError as error:
        return refuse(f"not readable: {error.strerror}")
    return Chunk(request=fetch.request, name=fetch.name, offset=fetch.offset, total=total, data=data)


class Transfer:
    """Answers requests in turn, a bounded number of them waiting; `rate` is in bytes per second for each node, None for
    as fast as it goes. A node that has had its share waits, and holds up nobody else. `bring` has a file that another
    server made here before it is read."""

    def __init__(
        self,
        folder: Path,
        publisher: Publisher,
        rate: int | None = None,
        signed: Signed = lambda _name: None,
        clock: Callable[[], float] = time.monotonic,
        bring: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.counters = TransferCounters()
        self._folder, self._publisher, self._signed, self._clock = folder, publisher, signed, clock
        self._rates, self._bring = Rates(rate), bring
        self._queue: asyncio.Queue[tuple[str, Fetch]] = asyncio.Queue()
        self._waiting: dict[str, set[tuple[str, int]]] = {}
        self._total = 0

    def ask(self, node: str, fetch: Fetch) -> None:
        """Answer `fetch` of `node` soon, or drop it where too many wait, or the same one does already."""
        mine, what = self._waiting.get(node, set()), (fetch.name, fetch.offset)
        if self._total >= WAITING or len(mine) >= PER_NODE or what in mine:
            self.counters.dropped += 1
            return
        self._waiting[node] = mine | {what}
        self._total += 1
        wait = self._rates.wait(node, min(fetch.length, MAX_CHUNK), self._clock())
        if wait:
            asyncio.get_running_loop().call_later(wait, self._queue.put_nowait, (node, fetch))
        else:
            self._queue.put_nowait((node, fetch))

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            node, fetch = await self._queue.get()
            self._total -= 1
            mine = self._waiting[node]
            mine.discard((fetch.name, fetch.offset))
            if not mine:
                del self._waiting[node]
            if self._bring is not None:
                await self._bring(fetch.name)
            chunk = await asyncio.to_thread(answer, self._folder, fetch, self._signed)
            self._send(node, chunk)

    def _send(self, node: str, chunk: Chunk) -> None:
        if chunk.error:
            self.counters.errors += 1
            # A node asks for the next root by its number until there is none: no reason to warn.
            tell = log.debug if chunk.error == NOT_THERE else log.warning
            tell("a node asked for what there is not", node=node, name=chunk.name, reason=chunk.error)
        try:
            sent = self._publisher.publish("chunks", node, chunk)
        except codec.CodecError as error:
            log.error("an answer cannot be sent", node=node, reason=str(error))
            sent = False
        if not sent:
            self.counters.dropped += 1
            return
        self.counters.answered += 1
        self.counters.bytes += len(chunk.data)
