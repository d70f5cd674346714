"""From the link to the tables: two queues, each emptied in batches by one task.

    link -> deliver -> frames   -> decode beside the loop -> store -> receipts, one per node and batch
                    -> control  -> status, health, alerts, update steps: one transaction per batch
                    -> fetch and reply, at once: they touch no table

The queues have no bound of their own: the link's Gate counts their bytes, and `done` gives them back. What fails is
tried again one by one, so that one message that can never be stored does not take others with it; that one is put
aside with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from central.ingest import frames, presence
from central.ingest.parked import Refused, park
from central.link import Publisher, Received
from central.notify import Notifier
from central.releases import tracking
from central.store.blobs import BlobError, Blobs
from central.store.database import Database
from protocols import codec
from protocols.messages import (
    MAX_TEXT,
    AnyMessage,
    Event,
    Fetch,
    FrameMessage,
    Health,
    Receipt,
    Reply,
    Status,
    Update,
    utc_now,
)

log = structlog.get_logger("central.ingest")

BATCH: Final = 256
"""Frames in one commit at most: few enough that a receipt takes a fraction of a second."""
SHARE: Final = 64
"""Frames that a batch takes even where it is more than its share of what waits: enough that a sync hardly counts. It
takes no more than that, so that the others have something to do meanwhile: all that the nodes have under way may be no
more than a few hundred frames."""
LANES: Final = 4
"""Batches under way: one waits for the disk, one is committed, one is checked, while the next arrives."""
BATCH_BYTES: Final = 16 * 1024 * 1024
CONTROL_BATCH: Final = 128
"""Messages in one transaction: a third of their cost by themselves; and frames of the same nodes wait for its end."""
PAUSE_S: Final = 1.0
"""After the store failed as a whole (a full disk, a database that is away), before the next batch is tried."""
OUTAGES: Final = (BlobError, OSError, OperationalError, InterfaceError, PoolTimeoutError)
"""The store as a whole does not work; whatever comes is left to the nodes for a while."""
POISON: Final = (SQLAlchemyError, OverflowError, ValueError)
"""Something in this batch cannot be stored, ever; the rest can."""
RECEIPT_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds from the arrival of a frame to its receipt, as they are counted."""
PARK: Final = 16
"""Of one batch's refused messages that are put aside; more would let a flood of garbage write to the disk."""
COMPLAINTS: Final = 10_000
"""Nodes whose first bad message was logged; beyond it they are only counted."""


class Answers(Protocol):
    """Where messages go that touch no table."""

    def ask(self, node: str, fetch: Fetch) -> None:
        """A node asks for a part of a file."""
        ...

    def answer(self, node: str, reply: Reply) -> None:
        """A node answers a command."""
        ...


@dataclass
class IngestCounters:
    """What came in since the start."""

    frames: int = 0
    """Stored for the first time."""
    bytes: int = 0
    duplicates: int = 0
    refused: int = 0
    """Frames that are not what they say, or cannot be stored."""
    malformed: int = 0
    """Other messages that are no message of their channel, or from another node."""
    failed: int = 0
    """Times that the store failed as a whole."""
    shut_out: int = 0
    """Messages of nodes that were revoked, from a broker that still lets them in."""
    parked: int = 0
    """Refused messages that were put aside with their reason."""
    receipts: int = 0
    """Frames that were acknowledged, duplicates included."""
    receipt_seconds: float = 0.0
    """That they waited for it, from their arrival, in all."""
    receipt_waits: list[int] = field(default_factory=lambda: [0] * (len(RECEIPT_S) + 1))
    """How many waited so long: up to each of RECEIPT_S, the last for those that waited longer."""

    def acknowledged(self, seconds: float, frames: int) -> None:
        """Note that `frames` waited `seconds` for their receipt."""
        self.receipts += frames
        self.receipt_seconds += seconds * frames
        self.receipt_waits[bisect_left(RECEIPT_S, seconds)] += frames


def _names(message: AnyMessage, received: Received) -> bool:
    """Whether `message` comes from where its topic says."""
    if isinstance(message, Event) and message.camera != received.camera:
        return False
    return getattr(message, "node", received.node) == received.node


class _Turn:
    """Holds `lock` until the end of the block, or until `pass_on`. Who has it collects and writes a batch; meanwhile
    the next batch grows, and the one before is committed."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock, self._held = lock, False

    async def __aenter__(self) -> _Turn:
        await self._lock.acquire()
        self._held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.pass_on()

    def pass_on(self) -> None:
        """Let the next one in. Safe to call twice."""
        if self._held:
            self._held = False
            self._lock.release()


class Consumer:
    """Takes what the link delivers. `done` is called once for each message; `greet` for each node that is online."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        publisher: Publisher,
        answers: Answers,
        notify: Notifier,
        done: Callable[[Received], None] = lambda _: None,
        greet: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> None:
        self.counters = IngestCounters()
        self._database, self._blobs, self._publisher = database, blobs, publisher
        self._answers, self._notify, self._done, self._greet = answers, notify, done, greet
        self._frames: asyncio.Queue[Received] = asyncio.Queue()
        self._control: asyncio.Queue[Received] = asyncio.Queue()
        self._turn = asyncio.Lock()
        self._complained: set[str] = set()
        self.refused: frozenset[str] = frozenset()
        """Nodes that are not listened to."""

    def deliver(self, received: Received) -> None:
        """Take `received`. Never blocks and never raises."""
        if received.node in self.refused:
            self.counters.shut_out += 1
            self._done(received)
        elif received.channel == "frames":
            self._frames.put_nowait(received)
        elif received.channel in ("fetch", "reply"):
            self._pass_on(received)
            self._done(received)
        else:
            self._control.put_nowait(received)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_frames(), name="ingest-frames")
            group.create_task(self._run_control(), name="ingest-control")

    def _complain(self, node: str, reason: str) -> None:
        """Say it once per node: whoever sends garbage must not fill the log as well."""
        if node not in self._complained and len(self._complained) < COMPLAINTS:
            self._complained.add(node)
            log.warning("a message was refused; more of this node's are only counted", node=node, reason=reason)

    def _decode(self, received: Received) -> AnyMessage | Refused:
        try:
            message = codec.decode(received.channel, received.payload)
            if _names(message, received):
                return message
            reason = f"{received.channel}: names another node or camera than its topic"
        except codec.CodecError as error:
            reason = str(error)
        self.counters.malformed += 1
        self._complain(received.node, reason)
        return Refused(received, reason)

    def _pass_on(self, received: Received) -> None:
        message = self._decode(received)
        if isinstance(message, Fetch):
            self._answers.ask(received.node, message)
        elif isinstance(message, Reply):
            self._answers.answer(received.node, message)

    # frames

    async def _run_frames(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        while True:
            async with _Turn(self._turn) as turn:
                batch = [await self._frames.get()]
                size = batch[0].size
                share = max(SHARE, min(BATCH, self._frames.qsize() // LANES))
                while len(batch) < share and size < BATCH_BYTES and not self._frames.empty():
                    batch.append(self._frames.get_nowait())
                    size += batch[-1].size
                try:
                    await self._store(batch, turn.pass_on)
                finally:
                    for received in batch:
                        self._done(received)

    async def _store(self, batch: Sequence[Received], written: Callable[[], None]) -> None:
        checked = await asyncio.to_thread(frames.decode, batch)
        try:
            stored = await frames.store(self._database, self._blobs, checked, written)
        except OUTAGES as error:
            await self._outage(error)
            return
        except POISON as error:
            if len(batch) > 1:
                for received in batch:
                    await self._store([received], written)
                return
            stored = frames.Stored(refused=[Refused(batch[0], f"cannot be stored: {str(error)[:200]}")])
        self._count(checked, stored)
        for node, ids in stored.receipts.items():
            if ids:
                self._publisher.publish("receipts", node, Receipt(ids=ids))
                waited = time.monotonic() - min(checked.received[i].at for i in ids)
                self.counters.acknowledged(waited, len(ids))
        if stored.new:
            self._notify.emit("frame")
        for each in stored.refused[:PARK]:
            self._tell(each)
        await self._park(stored.refused)

    def _tell(self, refused: Refused) -> None:
        """Tell the node that one of its frames can never be stored, where it can be said which; else it would go on
        sending it. What it does with the frame is its own affair."""
        received = refused.received
        with contextlib.suppress(codec.CodecError):
            message = codec.decode("frames", received.payload)
            if isinstance(message, FrameMessage) and message.node == received.node:
                answer = Receipt(ids=[], refused={message.id: refused.reason[:MAX_TEXT]})
                self._publisher.publish("receipts", received.node, answer)

    async def _park(self, refused: Sequence[Refused]) -> None:
        """Put aside the first of `refused`; receipts never wait for it, and the store need not be able to."""
        if not refused:
            return
        try:
            async with self._database.write() as session:
                self.counters.parked += await park(session, refused[:PARK], utc_now())
        except (*OUTAGES, *POISON) as error:
            log.warning("what was refused could not be put aside", reason=str(error)[:300])

    async def _outage(self, error: Exception) -> None:
        self.counters.failed += 1
        log.error("the store does not work; the nodes keep what they sent and send it again", reason=str(error)[:300])
        await asyncio.sleep(PAUSE_S)

    def _count(self, checked: frames.Checked, stored: frames.Stored) -> None:
        receipts = sum(map(len, stored.receipts.values()))
        self.counters.frames += stored.new
        self.counters.bytes += stored.bytes
        self.counters.duplicates += receipts - stored.new
        self.counters.refused += len(stored.refused)
        for each in stored.refused:
            self._complain(each.received.node, each.reason)

    # everything else

    async def _run_control(self) -> None:
        while True:
            batch = [await self._control.get()]
            while len(batch) < CONTROL_BATCH and not self._control.empty():
                batch.append(self._control.get_nowait())
            try:
                decoded = [self._decode(received) for received in batch]
                await self._note([m for m in decoded if not isinstance(m, Refused)])
                await self._park([m for m in decoded if isinstance(m, Refused)])
            finally:
                for received in batch:
                    self._done(received)

    async def _note(self, messages: Sequence[AnyMessage]) -> None:
        if not messages:
            return
        try:
            async with self._database.write() as session:
                nodes = {m.node for m in messages if isinstance(m, Status | Health | Event | Update)}
                held, told = await presence.fetch(session, nodes, utc_now()), _essential(messages)
                await presence.touch(session, {m.node for m in messages if isinstance(m, Event)}, utc_now())
                for message in told:
                    await _apply(session, message)
                held.clear()
        except OUTAGES as error:
            await self._outage(error)
            return
        except POISON as error:
            if len(messages) > 1:
                for message in messages:
                    await self._note([message])
                return
            self.counters.malformed += 1
            self._complain(getattr(messages[0], "node", "?"), f"cannot be kept: {str(error)[:200]}")
            return
        self._notify.emit("node")
        if any(isinstance(m, Update) for m in messages):
            self._notify.emit("update")
            self._notify.emit("release")
        for message in messages:
            if self._greet is not None and isinstance(message, Status) and message.state == "online":
                await self._greet(message.node, message.boot)


def _essential(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Return what of a batch has to be noted: the last health of each node, and everything else but counts, which are
    for whoever listens to the broker. The more comes at a time, the less each of it costs."""
    last = {m.node: i for i, m in enumerate(messages) if isinstance(m, Health)}
    return [
        m
        for i, m in enumerate(messages)
        if not (isinstance(m, Health) and last[m.node] != i) and not (isinstance(m, Event) and m.kind == "counts")
    ]


async def _apply(session: AsyncSession, message: AnyMessage) -> None:
    now = utc_now()
    if isinstance(message, Status):
        await tracking.apply_running(session, await presence.apply_status(session, message, now), now)
    elif isinstance(message, Health):
        await presence.apply_health(session, message, now)
    elif isinstance(message, Event):
        await presence.apply_event(session, message, now)
    elif isinstance(message, Update):
        await tracking.apply_update(session, message, now)
