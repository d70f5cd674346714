"""Answers nodes that fetch files, piece by piece. The nodes keep count; nothing is remembered here between pieces."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
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

Allow = Callable[[str, int], bool]
"""May node (name) be sent so many bytes now? A hook for rate limits; a False is as good as a lost answer."""

Signed = Callable[[str], bytes | None]
"""Return the small file with this name, None where there is none (`central.releases.signing.Signing.read`)."""


@dataclass
class TransferCounters:
    """What was fetched since the start."""

    answered: int = 0
    bytes: int = 0
    errors: int = 0
    dropped: int = 0


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
    """Answers requests in turn, a bounded number of them waiting."""

    def __init__(
        self,
        folder: Path,
        publisher: Publisher,
        allow: Allow = lambda _node, _size: True,
        signed: Signed = lambda _name: None,
    ) -> None:
        self.counters = TransferCounters()
        self._folder, self._publisher, self._allow, self._signed = folder, publisher, allow, signed
        self._queue: asyncio.Queue[tuple[str, Fetch]] = asyncio.Queue(WAITING)
        self._waiting: dict[str, int] = {}

    def ask(self, node: str, fetch: Fetch) -> None:
        """Answer `fetch` of `node` soon, or drop it where too many wait."""
        if self._queue.full() or self._waiting.get(node, 0) >= PER_NODE:
            self.counters.dropped += 1
            return
        self._waiting[node] = self._waiting.get(node, 0) + 1
        self._queue.put_nowait((node, fetch))

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            node, fetch = await self._queue.get()
            left = self._waiting.pop(node) - 1
            if left:
                self._waiting[node] = left
            chunk = await asyncio.to_thread(answer, self._folder, fetch, self._signed)
            self._send(node, chunk)

    def _send(self, node: str, chunk: Chunk) -> None:
        if chunk.error:
            self.counters.errors += 1
            # A node asks for the next root by its number until there is none: no reason to warn.
            tell = log.debug if chunk.error == NOT_THERE else log.warning
            tell("a node asked for what there is not", node=node, name=chunk.name, reason=chunk.error)
        try:
            sent = self._allow(node, len(chunk.data)) and self._publisher.publish("chunks", node, chunk)
        except codec.CodecError as error:
            log.error("an answer cannot be sent", node=node, reason=str(error))
            sent = False
        if not sent:
            self.counters.dropped += 1
            return
        self.counters.answered += 1
        self.counters.bytes += len(chunk.data)
