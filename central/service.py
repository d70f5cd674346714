"""The centre at work, without its face: broker, link, ingest and releases, started and stopped as one.

service = await start(settings)        the API reads `service.database` and `service.blobs`, listens to
...                                    `service.notify`, and asks for the methods below
await service.stop()
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import structlog

from central.broker import Broker, BrokerSettings, start_broker
from central.enrol import nodes
from central.homeassistant import Announcer
from central.ingest import presence
from central.ingest.consumer import Consumer
from central.ingest.worker import Task
from central.ingest.workers import Workers
from central.link import Link
from central.notify import Notifier
from central.releases import offers, registry
from central.releases.offers import Offers
from central.releases.signing import Signing
from central.releases.transfer import Transfer
from central.store import blobs as blob_store
from central.store import database as database_store
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.migrations import migrate
from central.store.models import Release
from central.store.sweep import keep_swept
from protocols.messages import Command, Fetch, Reply, utc_now
from protocols.pack import Pack

log = structlog.get_logger("central.service")

SWEEP_S: Final = 5.0
"""Between looks for nodes that fell silent."""
ONLINE_AFTER_S: Final = 100.0
"""Seconds of silence, where the settings do not say: three health messages and some."""
COMMAND_S: Final = 5.0
MAX_WORKERS: Final = 4
"""Processes that take frames in, where nobody says how many: one database takes what they commit."""
AGAIN_S: Final = 1.0
"""Before a part that failed is started again."""


class ServiceSettings(BrokerSettings, Protocol):
    """What of the centre's settings matters here."""

    @property
    def database_url(self) -> Any:
        """URL of the database (text or a secret), or None for ``central.db`` in the data folder."""
        ...

    @property
    def blob_url(self) -> str | None:
        """URL of the blob store, or None for ``blobs/`` in the data folder."""
        ...


@dataclass
class Service:
    """The running centre. Made by `start`."""

    data: Path
    database: Database
    blobs: Blobs
    broker: Broker
    notify: Notifier
    link: Link
    offers: Offers
    signing: Signing
    transfer: Transfer
    consumer: Consumer
    silent_after: timedelta
    announcer: Announcer | None = None
    """Tells Home Assistant of the nodes."""
    workers: Workers | None = None
    """Processes that take frames in beside this one."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _again: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def packs(self) -> Path:
        """Folder of the registered packs."""
        return self.data / "packs"

    async def stop(self) -> None:
        """End everything that `start` started; what was received and not stored is sent again by its node."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.link.stop()
        await self.broker.stop()
        self.signing.close()
        self.blobs.close()
        await self.database.close()

    async def register(self, pack: Pack) -> Pack:
        """Take `pack` into the registry. Raises PackError or OSError."""
        kept = await registry.register(self.database, self.packs, pack)
        self.notify.emit("release")
        return kept

    async def release(self, pack: str, by: str, notes: str = "") -> Release:
        """Release the registered pack with address `pack` to every node. Raises ReleaseError."""
        made = await offers.create(self.database, pack, by, notes)
        self.offers.forget()
        await self.offers.tell_all()
        self.notify.emit("release")
        return made

    async def command(
        self,
        node: str,
        action: Literal["snapshot", "pause", "resume", "restart"],
        camera: str = "",
        timeout: float = COMMAND_S,
    ) -> Reply:
        """Ask `node` to do `action` and return its answer. Raises LinkError where there is none within `timeout` s."""
        return await self.link.request(node, Command(id=uuid.uuid4().hex, action=action, camera=camera), timeout)

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Keep `work` running until the service stops."""
        self._tasks.append(asyncio.create_task(_keep(work, name), name=name))

    async def sweep(self) -> None:
        """Look for silent nodes, and for those who were shut out since, until cancelled."""
        steps = presence.Steps()
        while True:
            await asyncio.sleep(SWEEP_S)
            async with self.database.write() as session:
                if steps.look(utc_now(), time.monotonic()):
                    log.warning("the clock was set; counting the silence of nodes anew")
                    await presence.forgive(session, utc_now())
                gone = await presence.silence(session, self.silent_after, utc_now())
                out = await nodes.shut_out(session)
            self.consumer.refused = out.names
            await asyncio.to_thread(self.broker.shut_out, out)
            if gone:
                log.warning("nodes fell silent", nodes=gone)
                self.notify.emit("node")

    def greet_all(self) -> None:
        """Tell every node again what counts: the broker may have been replaced."""
        self.offers.forget()
        if self.announcer is not None:
            self.announcer.forget()
        self._again.set()

    async def tell(self) -> None:
        """Tell every node what counts, each time that `greet_all` asked for it, until cancelled."""
        while True:
            await self._again.wait()
            self._again.clear()
            await self.offers.tell_all()
            if self.announcer is not None:
                await self.announcer.announce()


async def _keep(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    while True:
        try:
            await work()
        except Exception:
            # A boundary: one part that fails, for whatever reason, must not end the centre in silence.
            log.exception("a part of the centre failed; starting it again", part=name)
        await asyncio.sleep(AGAIN_S)


class _Answers:
    """Joins what the consumer passes on to the two that answer it."""

    link: Link
    transfer: Transfer

    def ask(self, node: str, fetch: Fetch) -> None:
        self.transfer.ask(node, fetch)

    def answer(self, node: str, reply: Reply) -> None:
        self.link.answer(node, reply)


def _secret(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value.get_secret_value())


def _automatic(broker: Broker) -> int:
    """Return how many processes are worth it: one needs a core, and so do the broker and the rest of the centre."""
    if broker.kind != "mosquitto":
        return 1  # whether another one can share is only known once it is asked
    return max(1, min(MAX_WORKERS, (os.cpu_count() or 1) // 2))


def _workers(settings: ServiceSettings, url: str, broker: Broker, notify: Notifier) -> Workers | None:
    """Return the workers that the settings ask for, None where there are none or the broker cannot share."""
    count = getattr(settings, "ingest_workers", 1) or _automatic(broker)
    if count == 1:
        return None
    if broker.kind == "embedded":
        log.warning("the embedded broker cannot share frames out; install mosquitto for several workers")
        return None

    def task(number: int) -> Task:
        at = broker.worker(number)
        files = (str(p) if p else None for p in (at.ca, at.certificate, at.key))
        folder = str(settings.data / "blobs")
        return Task(
            url, settings.blob_url, folder, settings.prefix, at.host, at.port, at.username, at.password, at.tls, *files
        )

    return Workers(count - 1, task, lambda: notify.emit("frame"))


def _transfer(settings: ServiceSettings, link: Link, signing: Signing) -> Transfer:
    return Transfer(settings.data / "packs", link, getattr(settings, "node_bytes_per_s", None), signing.read)


def _wire(
    settings: ServiceSettings, database: Database, blobs: Blobs, broker: Broker, signing: Signing
) -> Service:
    notify, answers = Notifier(), _Answers()
    link = Link(broker.centre, settings.prefix, lambda r: service.consumer.deliver(r), lambda: service.greet_all())
    made = Offers(database, link, signing.sign, link.retract)
    answers.link, answers.transfer = link, _transfer(settings, link, signing)
    consumer = Consumer(database, blobs, link, answers, notify, link.done, made.greet)
    after = timedelta(seconds=getattr(settings, "online_after_s", ONLINE_AFTER_S))
    service = Service(
        settings.data, database, blobs, broker, notify, link, made, signing, answers.transfer, consumer, after
    )  # fmt: skip
    return service


async def start(settings: ServiceSettings) -> Service:
    """Start the centre as `settings` say and return it; the link connects in the background.

    Raises DatabaseError, BlobError, TrustError, BrokerError or LinkError with one line that says what to do.
    """
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with contextlib.AsyncExitStack() as undo:
        url = _secret(settings.database_url) or database_store.sqlite_url(settings.data / "central.db")
        database = database_store.connect(url)
        undo.push_async_callback(database.close)
        await migrate(database.engine)
        blobs = await blob_store.opened(settings.blob_url, settings.data / "blobs")
        async with database.read() as session:
            out = await nodes.shut_out(session)
        broker = await start_broker(settings, out)
        undo.push_async_callback(broker.stop)
        signing = await asyncio.to_thread(Signing, settings.data)
        undo.callback(signing.close)
        service = _wire(settings, database, blobs, broker, signing)
        service.consumer.refused = out.names
        if getattr(settings, "homeassistant", False):
            service.announcer = Announcer(database, settings.prefix, service.link.announce)
            service.spawn(service.announcer.run, "homeassistant")
        service.workers = _workers(settings, url, broker, service.notify)
        if service.workers is not None:
            service.link.wish = service.link.part = "shared"
            service.spawn(service.workers.run, "workers")
        await service.link.start()
        service.spawn(service.consumer.run, "ingest")
        service.spawn(service.transfer.run, "transfer")
        service.spawn(service.sweep, "sweep")
        service.spawn(service.tell, "offers")
        service.spawn(service.signing.keep, "signing")
        service.spawn(lambda: keep_swept(database, blobs), "space")
        undo.pop_all()
        return service
