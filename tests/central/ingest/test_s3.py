"""Ingest on S3: a receipt waits for the store, an outage holds receipts back and ends by itself, and killing the
server loses nothing that has a receipt."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from central.ingest import consumer as consumer_module
from central.ingest.consumer import Consumer
from central.link import Received
from central.notify import Notifier
from central.store import blobs as blob_store
from central.store import s3 as s3_store
from central.store.blobs import BlobAwayError, BlobError, Blobs
from central.store.database import Database
from central.store.models import Frame
from protocols import codec
from protocols.messages import Message
from tests.servers.meddler import Meddler, meddling
from tests.servers.postgres import MissingError
from tests.servers.s3 import S3

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
SEED = 20261121
READS = 10
"""Of an image, before the test gives up."""


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    """A server of this file's own, which it kills."""
    try:
        made = S3.start()
    except MissingError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture
def meddler(server: S3) -> Iterator[Meddler]:
    """A proxy before it."""
    with meddling(server.ports["proxy"]) as made:
        yield made


@pytest.fixture
def store(server: S3, meddler: Meddler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """A store through the proxy, which gives up soon."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_store, "RETRIES", 1)
    monkeypatch.setattr(consumer_module, "PAUSE_S", 0.05)
    monkeypatch.setattr(consumer_module, "SHARE", 8)
    return blob_store.connect(server.url(server.create(), endpoint=meddler.endpoint), tmp_path / "blobs")


class Nodes:
    """What nodes have: frames that wait for a receipt, and are sent until there is one."""

    def __init__(self, sound: Callable[..., Any], count: int) -> None:
        made = [sound(sequence=n) for n in range(count)]
        self.sent = {m.id: m for m in made}
        self.waiting = dict(self.sent)
        self.receipts: list[str] = []
        self.held = 0

    def publish(self, channel: str, _node: str, message: Message) -> None:
        """Take a receipt."""
        assert channel == "receipts"
        self.receipts += message.ids  # type: ignore[attr-defined]
        for frame in message.ids:  # type: ignore[attr-defined]
            self.waiting.pop(frame, None)

    def deliver(self, to: Consumer) -> None:
        """Send all that waits."""
        for message in list(self.waiting.values()):
            payload = codec.encode("frames", message)
            self.held += 1
            to.deliver(Received(message.node, "frames", "", payload))

    def done(self, _: Received) -> None:
        """Hear that the centre holds a message no more."""
        self.held -= 1

    async def until(self, good: Callable[[], bool], timeout: float = 60) -> None:
        """Wait until `good`."""
        async with asyncio.timeout(timeout):
            while not good():
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def start(db: Database) -> AsyncIterator[Callable[[Blobs, Nodes], Consumer]]:
    """Start a consumer on a store."""
    running: list[asyncio.Task[None]] = []

    def begin(blobs: Blobs, nodes: Nodes) -> Consumer:
        made = Consumer(db, blobs, nodes, None, Notifier(), nodes.done)  # type: ignore[arg-type]
        running.append(asyncio.create_task(made.run()))
        return made

    yield begin
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def lost(db: Database, blobs: Blobs, nodes: Nodes) -> list[str]:
    """Return the frames that have a receipt and are not there whole."""
    async with db.read() as session:
        rows = {row.id: row.blob for row in await session.scalars(select(Frame))}

    async def there(frame: str) -> bool:
        for _ in range(READS):
            try:
                return hashlib.sha256(await blobs.read(rows[frame])).hexdigest() == nodes.sent[frame].sha256
            except BlobAwayError:  # a busy machine; only an answer counts
                continue
            except (KeyError, BlobError):
                return False
        raise TimeoutError(f"frame {frame}: the store does not answer")

    found = await asyncio.gather(*map(there, nodes.receipts))
    return [frame for frame, is_there in zip(nodes.receipts, found, strict=True) if not is_there]


async def test_receipts__wait_for_the_store_and_come_when_it_does(
    db: Database, store: Blobs, meddler: Meddler, sound: Callable[..., Any], start: Any
) -> None:
    nodes = Nodes(sound, 16)
    meddler.rule = lambda *_: "busy"
    consumer = start(store, nodes)
    nodes.deliver(consumer)
    await nodes.until(lambda: nodes.held == 0)
    assert not nodes.receipts
    assert consumer.counters.failed > 0
    meddler.rule = lambda *_: "pass"
    nodes.deliver(consumer)
    await nodes.until(lambda: not nodes.waiting)
    assert await lost(db, store, nodes) == []
    async with db.read() as session:
        assert len((await session.scalars(select(Frame.id))).all()) == 16


async def test_receipts__a_slow_store_makes_them_late_and_loses_none(
    db: Database, store: Blobs, meddler: Meddler, sound: Callable[..., Any], start: Any
) -> None:
    nodes = Nodes(sound, 12)
    meddler.delay_s = 0.5
    nodes.deliver(start(store, nodes))
    await asyncio.sleep(0.25)
    assert not nodes.receipts
    await nodes.until(lambda: not nodes.waiting)
    assert await lost(db, store, nodes) == []


class Hasty(Blobs):
    """The planted bug: keys are given out, and the images stored afterwards, if ever."""

    async def keep(self, items: Sequence[tuple[str, bytes]]) -> list[str]:
        """Answer at once."""
        keys = [f"frames/2026-01-01/{random.randbytes(8).hex()}.seg@0+{len(data)}" for _, data in items]
        self.late = asyncio.create_task(self._later(keys, items))
        return keys

    async def _later(self, keys: Sequence[str], items: Sequence[tuple[str, bytes]]) -> None:
        with contextlib.suppress(BlobError):
            await self.put([(key.split("@")[0], data) for key, (_, data) in zip(keys, items, strict=True)])


async def killed_amidst(server: S3, meddler: Meddler, nodes: Nodes, consumer: Consumer) -> None:
    """Send everything while the server is killed at a drawn moment and started again, until all have receipts."""
    drawn = random.Random(SEED)
    print(f"seed {SEED}")
    at = drawn.randint(1, 3)
    died = asyncio.Event()
    loop = asyncio.get_running_loop()

    def rule(method: str, _: str) -> str:
        if method == "PUT" and meddler.count("PUT") == at:
            server.kill()
            loop.call_soon_threadsafe(died.set)
        return "pass"

    meddler.rule = rule
    for _ in range(3):
        nodes.deliver(consumer)
        await asyncio.sleep(drawn.random() * 0.05)
    await asyncio.wait_for(died.wait(), 30)
    await asyncio.sleep(0.2)
    await asyncio.to_thread(server.restart)
    while nodes.waiting:
        nodes.deliver(consumer)
        await nodes.until(lambda: nodes.held == 0)


@pytest.mark.parametrize("broken", [False, True], ids=["as-it-is", "planted-bug"])
async def test_receipts__server_killed_amidst_puts(
    db: Database, server: S3, store: Blobs, meddler: Meddler, sound: Callable[..., Any], start: Any, broken: bool,
) -> None:  # fmt: skip
    nodes = Nodes(sound, 32)
    used = Hasty(store.store, remote=store.remote) if broken else store
    consumer = start(used, nodes)
    await killed_amidst(server, meddler, nodes, consumer)
    gone = await lost(db, store, nodes)
    assert set(nodes.receipts) == set(nodes.sent)
    if broken:
        assert gone, "the planted bug was not found"
    else:
        assert gone == []


async def test_receipts__a_store_that_lies_is_found_out_by_reading(
    db: Database, store: Blobs, meddler: Meddler, sound: Callable[..., Any], start: Any
) -> None:
    """The oracle sees a server that answers for what it never stored."""
    nodes = Nodes(sound, 5)
    meddler.rule = lambda method, _: "lie" if method == "PUT" else "pass"
    nodes.deliver(start(store, nodes))
    await nodes.until(lambda: not nodes.waiting)
    assert len(await lost(db, store, nodes)) == 5
