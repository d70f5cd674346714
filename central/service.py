"""The centre at work, without its face: broker, link, ingest and releases, started and stopped as one.

One of several servers where its database was given by URL: then what is done once is a duty (`central.servers`), and
every server ingests, answers nodes, and hears of what changed at the others.

service = await start(settings)        the API reads `service.database` and `service.blobs`, listens to
...                                    `service.notify`, and asks for the methods below
await service.drain(); await service.stop()
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from central.broker import Broker, BrokerSettings, start_broker
from central.enrol import nodes
from central.homeassistant import Announcer
from central.ingest import presence
from central.ingest.consumer import Consumer
from central.ingest.workers import Workers, of_settings
from central.link import Link
from central.notify import Notifier
from central.releases import offers, publishing, registry
from central.releases.offers import Offers
from central.releases.shelf import Shelf
from central.releases.signing import Signing
from central.releases.transfer import Transfer
from central.releases.trust_files import TrustFiles
from central.servers.changes import Changes
from central.servers.duties import Duties, keep
from central.servers.members import Identity, Members, identity
from central.store import blobs as blob_store
from central.store import database as database_store
from central.store import retention
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.migrations import migrate
from central.store.models import Release
from central.store.retention.run import Runner
from central.store.retention.run import keep as keep_rules
from central.store.sweep import keep_swept
from protocols import trust
from protocols.messages import Command, Fetch, Reply, utc_now
from protocols.pack import Pack

log = structlog.get_logger("central.service")

SWEEP_S: Final = 5.0
"""Between looks for nodes that fell silent."""
ONLINE_AFTER_S: Final = 100.0
"""Seconds of silence, where the settings do not say: three health messages and some."""
NAMED: Final = 10
"""Nodes that a line of the log names; a broker that went away takes thousands with it."""
COMMAND_S: Final = 5.0
DRAIN_S: Final = 5.0
"""For what was received to be stored, when this server ends."""
FLEET: Final = "fleet"
"""The duty of whoever leads: hears what the broker retains, signs, and tells nodes what counts."""
TELL: Final = "tell"
"""Asks the leader to tell every node what counts."""


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
    identity: Identity
    duties: Duties
    shelf: Shelf
    changes: Changes | None = None
    """Carries changes to and from the other servers, where there are any."""
    trust: TrustFiles | None = None
    """Carries signed metadata between them."""
    announcer: Announcer | None = None
    """Tells Home Assistant of the nodes."""
    workers: Workers | None = None
    """Processes that take frames in beside this one."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _again: asyncio.Event = field(default_factory=asyncio.Event)
    _led: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: frozenset[str] = frozenset()

    @property
    def packs(self) -> Path:
        """Folder of the registered packs."""
        return self.data / "packs"

    async def stop(self) -> None:
        """End everything that `start` started; what was received and not stored is sent again by its node."""
        await self.duties.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.link.stop()
        await self.broker.stop()
        await self.duties.leave()
        self.signing.close()
        self.blobs.close()
        await self.database.close()
        self.identity.close()

    async def drain(self) -> None:
        """Hand over to the other servers, before the end: duties first, then what nodes send. Requests are answered
        all the while. What was received is stored when this returns, or is sent again."""
        await self.duties.drain()
        if self.shared and not await self.link.drain(DRAIN_S):
            log.warning("not all that was received could be stored in time; frames are sent again")
        if self.changes is not None:
            await self.changes.flush()

    @property
    def shared(self) -> bool:
        """Whether there may be other servers."""
        return self.changes is not None

    async def register(self, pack: Pack) -> Pack:
        """Take `pack` into the registry. Raises PackError or OSError."""
        kept = await registry.register(self.database, self.packs, pack)
        await self.shelf.keep(kept)
        self.notify.emit("release")
        return kept

    async def release(self, pack: str, by: str, notes: str = "") -> Release:
        """Release the registered pack with address `pack` to every node. Raises ReleaseError."""
        await self.shelf.fetch(pack)
        made = await offers.create(self.database, pack, by, notes)
        await self.tell_nodes()
        self.notify.emit("release")
        return made

    async def tell_nodes(self) -> None:
        """Tell every node what counts, or have the server that leads do it."""
        if self.changes is None or FLEET in self.duties.held:
            self.offers.forget()
            await self.offers.tell_all()
        else:
            await self.changes.ask(TELL)

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
        self._tasks.append(asyncio.create_task(keep(work, name), name=name))

    def lead(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Keep `work` running while this server leads."""

        async def led() -> None:
            await self._led.wait()
            await work()

        self.duties.add(FLEET, led, name)

    async def leading(self) -> None:
        """Begin to lead, and do so until cancelled."""
        try:
            if self.trust is not None:
                await self.trust.pull()
                await asyncio.to_thread(self.signing.reload)
                await self.trust.push(self.confirm)
            self.link.lead(True)
            self.greet_all()
            self._led.set()
            while True:
                await asyncio.sleep(SWEEP_S)
                self._look_after()
        finally:
            self._led.clear()
            self.link.lead(False)

    async def confirm(self, session: AsyncSession) -> int:
        """Return the fence of whoever leads, as of the open write transaction. Raises LostError where another does."""
        return await self.duties.confirm(session, FLEET)

    def _look_after(self) -> None:
        """Tell every node again where a server died: what it had received of theirs may have gone with it."""
        gone = frozenset(f"{key}/{s.row.run}" for key, s in self.duties.seen.items() if s.state() == "gone")
        if gone - self._gone:
            log.warning("another server died; asking the nodes anew", servers=len(gone - self._gone))
            self.greet_all()
        self._gone = gone

    async def sweep(self) -> None:
        """Look for silent nodes, until cancelled."""
        steps = presence.Steps()
        while True:
            await asyncio.sleep(SWEEP_S)
            async with self.database.write() as session:
                if steps.look(utc_now(), time.monotonic()):
                    log.warning("the clock was set; counting the silence of nodes anew")
                    await presence.forgive(session, utc_now())
                gone = await presence.silence(session, self.silent_after, utc_now())
            if gone:
                log.warning("nodes fell silent", count=len(gone), first=sorted(gone)[:NAMED])
                self.notify.emit("node")

    async def refuse(self) -> None:
        """Look for nodes that were shut out, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            async with self.database.read() as session:
                out = await nodes.shut_out(session)
            self.consumer.refused = out.names
            await asyncio.to_thread(self.broker.shut_out, out)

    def greet_all(self) -> None:
        """Tell every node again what counts: the broker may have been replaced."""
        self.offers.forget()
        if self.announcer is not None:
            self.announcer.forget()
        self._again.set()

    def asked(self) -> None:
        """Another server wants the nodes told."""
        if FLEET in self.duties.held:
            self.greet_all()

    async def tell(self) -> None:
        """Tell every node what counts, each time that `greet_all` asked for it, until cancelled."""
        while True:
            await self._again.wait()
            self._again.clear()
            await self.offers.tell_all()
            if self.announcer is not None:
                await self.announcer.announce()


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


@dataclass(frozen=True)
class _Base:
    """What everything else stands on. `trust` is None where there is no other server."""

    database: Database
    blobs: Blobs
    broker: Broker
    who: Identity
    trust: TrustFiles | None


def _transfer(settings: ServiceSettings, link: Link, signing: Signing, shelf: Shelf, base: _Base) -> Transfer:
    async def bring(name: str) -> None:
        await shelf.bring(name)
        if base.trust is not None and name.startswith(trust.FOLDER):
            await publishing.fresh(base.trust)

    rate = getattr(settings, "node_bytes_per_s", None)
    return Transfer(shelf.folder, link, rate, signing.read, bring=bring if base.trust or shelf.shared else None)


def _wire(settings: ServiceSettings, base: _Base, signing: Signing) -> Service:
    database, blobs, notify, answers = base.database, base.blobs, Notifier(), _Answers()
    link = Link(base.broker.centre, settings.prefix, lambda r: service.consumer.deliver(r), lambda: service.greet_all())
    shelf = Shelf(settings.data / "packs", blobs if settings.blob_url is not None else None)
    made = Offers(database, link, signing.sign, link.retract, shelf.fetch)
    answers.link, answers.transfer = link, _transfer(settings, link, signing, shelf, base)
    consumer = Consumer(database, blobs, link, answers, notify, link.done, made.greet)
    after = timedelta(seconds=getattr(settings, "online_after_s", ONLINE_AFTER_S))
    duties = Duties(database, None if base.trust is None else Members(base.who))
    changes = None if base.trust is None else Changes(database, notify)
    service = Service(
        settings.data, database, blobs, base.broker, notify, link, made, signing, answers.transfer, consumer, after,
        base.who, duties, shelf, changes, base.trust,
    )  # fmt: skip
    duties.need(FLEET, lambda: signing.able)
    if changes is not None:
        changes.heed(TELL, service.asked)
    return service


def _who(settings: ServiceSettings) -> Identity:
    """Return who this server is."""
    name = getattr(settings, "server_name", "") or f"{socket.gethostname()}:{getattr(settings, 'port', 0)}"
    return identity(settings.data, name)


async def start(settings: ServiceSettings) -> Service:
    """Start the centre as `settings` say and return it; the link connects in the background.

    Raises DatabaseError, BlobError, TrustError, BrokerError, LinkError or ServerError with one line that says what to
    do.
    """
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with contextlib.AsyncExitStack() as undo:
        who = _who(settings)
        undo.callback(who.close)
        given = _secret(settings.database_url)
        url = given or database_store.sqlite_url(settings.data / "central.db")
        database = database_store.connect(url)
        undo.push_async_callback(database.close)
        await migrate(database.engine)
        blobs = await blob_store.opened(settings.blob_url, settings.data / "blobs")
        async with database.read() as session:
            out = await nodes.shut_out(session)
        broker = await start_broker(settings, out)
        undo.push_async_callback(broker.stop)
        files = TrustFiles(database, settings.data / trust.FOLDER) if given else None
        publish = publishing.Publisher(files)
        signing = await publishing.open_signing(settings.data, files, publish)
        undo.callback(signing.close)
        service = _wire(settings, _Base(database, blobs, broker, who, files), signing)
        publish.confirm, publish.again = service.confirm, service.greet_all
        service.consumer.refused = out.names
        _share(service, settings, url)
        await service.link.start()
        _set_to_work(service, settings)
        undo.pop_all()
        return service


def _share(service: Service, settings: ServiceSettings, url: str) -> None:
    """Decide what this process takes of what nodes send."""
    service.workers = of_settings(settings, url, service.broker, lambda: service.notify.emit("frame"))
    if service.workers is not None:
        service.link.wish = service.link.part = "shared"
        service.spawn(service.workers.run, "workers")
    if service.shared and service.broker.kind == "given":
        service.link.wish = service.link.part = "member"
        service.link.serves = service.signing.able


def _set_to_work(service: Service, settings: ServiceSettings) -> None:
    """Start what every server does, and what one of them does for all."""
    if getattr(settings, "homeassistant", False):
        service.announcer = Announcer(service.database, settings.prefix, service.link.announce)
        service.lead(service.announcer.run, "homeassistant")
    service.spawn(service.consumer.run, "ingest")
    service.spawn(service.transfer.run, "transfer")
    service.spawn(service.refuse, "refuse")
    service.duties.add(FLEET, service.leading, "lead")
    service.lead(service.sweep, "sweep")
    service.lead(service.tell, "offers")
    service.lead(service.signing.keep, "signing")
    service.duties.add("space", lambda: keep_swept(service.database, service.blobs))
    rule = retention.parse(getattr(settings, "retention", ""))
    runner = Runner(service.database, service.blobs, settings.data, rule)
    service.duties.add("retention", lambda: keep_rules(runner, getattr(settings, "retention_every_h", 0.0)))
    if service.changes is not None:
        service.spawn(service.changes.run, "changes")
        service.spawn(lambda: service.shelf.mirror(service.database), "packs")
    service.spawn(service.duties.run, "duties")
