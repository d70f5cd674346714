"""A process that takes frames in, beside the centre's own: ``python -m central.ingest.worker``.

    standard input    one line of JSON (`Task`), then nothing until it ends, and with it the worker
    standard output   a line of JSON (counters since the start) whenever something was stored

It does with its share of the frames what the centre does: check, images, rows, receipts. Killed at any moment, what it
had taken has no receipt, and its nodes send it again, to another worker.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec

from central.enrol import nodes
from central.ingest.consumer import Consumer
from central.link import BrokerAddress, Link
from central.notify import Notifier
from central.store import blobs as blob_store
from central.store import database as database_store
from central.store.database import Database
from protocols.messages import Fetch, Reply

TELL_S: Final = 0.5
"""Between two lines about what was stored."""
LOOK_S: Final = 5.0
"""Between looks for nodes that were shut out."""


class Task(msgspec.Struct, frozen=True):
    """What a worker needs to know. Holds secrets, so it comes by a pipe."""

    database: str
    blob_url: str | None
    blobs: str
    """Folder of the images, where `blob_url` is None."""
    prefix: str
    host: str
    port: int
    username: str = ""
    password: str = ""
    tls: bool = False
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @property
    def address(self) -> BrokerAddress:
        """Where the broker is."""
        ca, certificate, key = (Path(p) if p else None for p in (self.ca, self.certificate, self.key))
        return BrokerAddress(self.host, self.port, self.username, self.password, self.tls, ca, certificate, key)


class _Nobody:
    """A worker is asked nothing."""

    def ask(self, node: str, fetch: Fetch) -> None:
        """Nothing."""

    def answer(self, node: str, reply: Reply) -> None:
        """Nothing."""


async def _tell(consumer: Consumer, link: Link) -> None:
    said = ""
    while True:
        text = json.dumps({**asdict(consumer.counters), "connects": link.counters.connects})
        if text != said:
            said = text
            print(text, flush=True)
        await asyncio.sleep(TELL_S)


async def _look(consumer: Consumer, database: Database) -> None:
    while True:
        async with database.read() as session:
            consumer.refused = (await nodes.shut_out(session)).names
        await asyncio.sleep(LOOK_S)


async def work(task: Task, end: asyncio.Event) -> None:
    """Take frames in until `end` is set. Raises BlobError, DatabaseError."""
    database = database_store.connect(task.database)
    blobs = blob_store.connect(task.blob_url, Path(task.blobs))
    link = Link(task.address, task.prefix, lambda r: consumer.deliver(r), part="frames")
    consumer = Consumer(database, blobs, link, _Nobody(), Notifier(), link.done)
    running = [asyncio.create_task(c) for c in (consumer.run(), _tell(consumer, link), _look(consumer, database))]
    await link.start()
    ended = asyncio.create_task(end.wait())
    await asyncio.wait([ended, *running], return_when=asyncio.FIRST_COMPLETED)
    for each in (ended, *running):
        each.cancel()
    await asyncio.gather(ended, *running, return_exceptions=True)
    await link.stop()
    blobs.close()
    await database.close()


async def _main() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    task = msgspec.json.decode(await reader.readline(), type=Task)
    end = asyncio.Event()

    async def watch() -> None:
        await reader.read()
        end.set()

    watching = asyncio.create_task(watch())
    await work(task, end)
    watching.cancel()


if __name__ == "__main__":
    asyncio.run(_main())
