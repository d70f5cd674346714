"""A centre without a face: broker link, ingest and store, as `wayside-central serve` runs them.

python -m tests.faults.centre FOLDER BROKER_URL [--bug receipt-first | no-dedupe | mute] [--workers 2] [--database URL]
    [--blobs URL]

``receipt-first`` acknowledges a frame before it is stored; ``no-dedupe`` stores whatever comes as something new;
``mute`` does not say which frames can never be stored. All are what the tests must find.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from central import service
from central.ingest import consumer, frames
from central.link import Received
from protocols.messages import Receipt

EARLY_S = 0.2
"""Between the planted receipt and the store."""


@dataclass(frozen=True)
class Settings:
    """What `service.start` asks for."""

    data: Path
    broker_url: str
    broker_port: int = 0
    database_url: str | None = None
    blob_url: str | None = None
    ingest_workers: int = 1
    prefix: str = "wayside/v1"


def receipt_first() -> None:
    """Plant the bug."""
    real = consumer.Consumer._store

    async def store(self: Any, batch: Sequence[Received], *more: Any) -> None:
        for message in frames.decode(batch).frames:
            self._publisher.publish("receipts", message.node, Receipt(ids=[message.id]))
        await asyncio.sleep(EARLY_S)
        await real(self, batch, *more)

    consumer.Consumer._store = store  # type: ignore[method-assign]


def no_dedupe() -> None:
    """Plant the bug."""
    row: Callable[..., dict[str, Any]] = frames._row

    def fresh(*of: Any) -> dict[str, Any]:
        made = row(*of)
        tail = secrets.token_hex(6)
        return {**made, "id": made["id"][:24] + tail, "boot": f"{made['boot'][:40]}-{tail}"}

    frames._row = fresh
    frames._stored = lambda *_: frames._Known({}, {})


def mute() -> None:
    """Plant the bug."""
    consumer.Consumer._tell = lambda *_: None  # type: ignore[method-assign,assignment]


def workers_too(bug: str) -> None:
    """Plant the bug in the ingest processes that are started, too."""
    start = asyncio.create_subprocess_exec

    async def spawn(*line: str, **how: Any) -> asyncio.subprocess.Process:
        ours = line[1:3] == ("-m", "central.ingest.worker")
        return await start(*((line[0], "-m", "tests.faults.worker", bug) if ours else line), **how)

    asyncio.create_subprocess_exec = spawn


BUGS: dict[str, Callable[[], None]] = {"receipt-first": receipt_first, "no-dedupe": no_dedupe, "mute": mute}


async def serve(settings: Settings) -> None:
    """Serve until killed."""
    await service.start(settings)
    await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("--bug", choices=list(BUGS))
    parser.add_argument("--database")
    parser.add_argument("--blobs")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    if given.bug:
        BUGS[given.bug]()
        workers_too(given.bug)
    asyncio.run(serve(Settings(given.folder, given.url, 0, given.database, given.blobs, given.workers)))


if __name__ == "__main__":
    main()
