"""The node's one connection to the broker, and the frames on their way through it.

    spool -> Window -> Link thread -> Connector.connect() -> Session.publish ...
                          ^  receipts, policy, release, chunks, commands   |
                          `------------------- inbox ----------------------'

`Link` owns one thread. It connects, waits with full jitter between attempts, announces the node (`online`, retained;
last will `offline`; `stopped` on a clean end), keeps a bounded window of frames without receipt under way, and hands
every message that decodes to its handler. A connection is used once: after a loss a new one is made, so nothing
queued in the MQTT library can outlive it. Everything that matters is in the spool or in a state machine that asks
again.

A frame that the centre refuses, or that goes without receipt again and again while others get theirs, is parked in the
spool with the reason, so that one that can never be stored blocks nothing. What the broker refuses (its access rules,
told by MQTT 5) is logged and counted.

`Connector` and `Session` are the seam: `edge.mqtt.PahoConnector`, and `edge.mqtt.MemoryBroker` for tests.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec
import structlog

from edge.spool import Spool
from edge.window import BACKOFF_BASE_S, BACKOFF_CAP_S, GIVE_UP, Backoff, Window
from protocols import codec, topics
from protocols.messages import AnyMessage, Message, Receipt, Status

log = structlog.get_logger("edge.link")

STEADY_S: Final = 10.0
"""A connection that lived this long starts the backoff anew; one that is dropped at once does not."""
INBOX: Final = 1000
"""Messages waiting for the link's thread; more are dropped and counted, as everything is asked for again."""
OUTBOX: Final = 256
"""Small messages waiting to be published; the oldest give way."""
TICK_S: Final = 0.5
"""Seconds between looks at the receipt timeouts."""
TEND_S: Final = 5.0
"""Seconds between looks at what is too old in the spool."""
SILENT: Final = 2
"""Windows full of frames without any receipt, after which the log says so."""
COMPLAINTS: Final = 100
"""Different refusals that the log tells of within one connection."""
TOLD: Final = frozenset({"policy", "release"})
"""Retained channels: that the newest message on one is not understood is a standing problem."""
KEEP_OFFLINE: Final = frozenset({"update", "reply"})
"""Channels whose messages wait for a connection; the others are only worth something now."""


class LinkError(Exception):
    """A broker that cannot be reached or refuses us. The text says which, why, and what to do."""


@dataclass(frozen=True)
class Received:
    """A message that the broker delivered."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Lost:
    """The connection ended, and why."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """The broker took a publication but refused it (MQTT 5 only)."""

    reason: str
    topic: str = ""
    number: int | None = None
    """What `Session.publish` returned for it."""


Inbox = queue.Queue[Received | Lost | Refused | None]
"""What the connection tells the link; None only wakes it."""


@dataclass(frozen=True)
class Will:
    """What the broker publishes (retained) when the connection dies."""

    topic: str
    payload: bytes


class Session(Protocol):
    """One live connection."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        """Hand over at QoS 1, and return a number by which `Refused` may name it. Raises LinkError where the
        connection is gone or congested."""
        ...

    def close(self, timeout: float) -> None:
        """Deliver what was handed over, within `timeout` seconds, then disconnect cleanly (no last will)."""
        ...


class Connector(Protocol):
    """Makes connections."""

    def connect(self, will: Will, filters: list[str], inbox: Inbox) -> Session:
        """Connect, subscribe to `filters` and return the session; messages and the loss go to `inbox`. Raises
        LinkError."""
        ...


@dataclass
class LinkCounters:
    """What went over the link since the node started."""

    frames_sent: int = 0
    bytes_sent: int = 0
    connects: int = 0
    bad_messages: int = 0
    dropped: int = 0
    refused: int = 0
    """Publications that the broker refused."""


Handler = Callable[[Any], None]
Presence = Literal["online", "stopped", "offline"]


@dataclass(frozen=True)
class LinkSettings:
    """How to behave on the link."""

    prefix: str
    node: str
    window: int = 32
    receipt_timeout: float = 30.0
    backoff_base: float = BACKOFF_BASE_S
    backoff_cap: float = BACKOFF_CAP_S
    give_up: int = GIVE_UP
    """Times without receipt, while others get theirs, after which a frame is put aside."""


class Link:
    """Keeps the node connected. `status` makes the presence message; `handlers` take what the centre sends, by channel.

    Handlers run on the link's thread and must return soon; what they raise is logged, never passed on."""

    def __init__(
        self,
        settings: LinkSettings,
        connector: Connector,
        spool: Spool,
        status: Callable[[Presence], Status],
        handlers: Mapping[str, Handler],
    ) -> None:
        self.counters = LinkCounters()
        self.problems: dict[str, str] = {}
        """By channel, why the newest of TOLD cannot be understood; empty text where it can."""
        self.window = Window(settings.window, settings.receipt_timeout, settings.give_up)
        self._settings, self._connector, self._spool = settings, connector, spool
        self._status, self._handlers = status, dict(handlers)
        self._inbox: Inbox = queue.Queue(INBOX)
        self._outbox: deque[tuple[str, bytes, bool, bool]] = deque(maxlen=OUTBOX)
        self._backoff = Backoff(settings.backoff_base, settings.backoff_cap)
        self._connected, self._stopping = threading.Event(), threading.Event()
        self._complaint = ""
        self._refusals: set[tuple[str, str]] = set()
        self._silent = False
        self._numbers: dict[int, str] = {}
        """Frames by what the session calls them."""
        self._session = 0
        self._tended = 0.0
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether there is a session now."""
        return self._connected.is_set()

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._thread.start()

    def send(self, channel: str, message: Message, camera: str = "", *, retain: bool = False) -> None:
        """Publish soon. Dropped where there is no connection, except the channels in KEEP_OFFLINE. Never blocks."""
        topic = topics.build(self._settings.prefix, self._settings.node, channel, camera)
        if not self.connected and channel not in KEEP_OFFLINE:
            return
        if len(self._outbox) == OUTBOX:
            self.counters.dropped += 1
        self._outbox.append((topic, codec.encode(channel, message), retain, channel in KEEP_OFFLINE))
        self.wake()

    def announce(self) -> None:
        """Publish the presence again, after something in it changed."""
        if self.connected:
            self.send("status", self._presence("online"), retain=True)

    def _presence(self, state: Presence) -> Status:
        return msgspec.structs.replace(self._status(state), session=self._session)

    def wake(self) -> None:
        """Look at the spool and the outbox now."""
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait(None)

    def wait_connected(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a session."""
        return self._connected.wait(timeout)

    def stop(self, timeout: float = 2.0) -> None:
        """Say `stopped`, disconnect and end the thread, within about `timeout` seconds."""
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._live()
            except LinkError as error:
                self._complain(str(error))
            except Exception:
                # The thread is a process boundary of its own: whatever happens on one connection, the next is tried.
                log.exception("the link failed; trying again")
            if time.monotonic() - began >= STEADY_S:
                self._backoff.reset()
            self._stopping.wait(self._backoff.next())

    def _complain(self, reason: str) -> None:
        """Say each reason once, until a connection succeeds: a broker that is down must not fill the log."""
        if reason != self._complaint:
            self._complaint = reason
            log.warning("no connection to the broker; watching and spooling, trying again", reason=reason)

    def _live(self) -> None:
        """One connection, from connecting to its end."""
        s = self._settings
        self._session += 1
        topic = topics.build(s.prefix, s.node, "status")
        will = Will(topic, codec.encode("status", self._presence("offline")))
        inbox: Inbox = queue.Queue(INBOX)
        self._inbox = inbox
        session = self._connector.connect(will, topics.subscriptions(s.prefix, "node", s.node), inbox)
        try:
            session.publish(topic, codec.encode("status", self._presence("online")), retain=True)
            self.counters.connects += 1
            self._complaint = ""
            self._refusals.clear()
            self._connected.set()
            log.info("connected to the broker", waiting_frames=len(self._spool))
            self._serve(session)
            if self._stopping.is_set():
                session.publish(topic, codec.encode("status", self._presence("stopped")), retain=True)
        finally:
            self._connected.clear()
            self.window.lost(time.monotonic())
            self._numbers.clear()
            session.close(1.0 if self._stopping.is_set() else 0.0)

    def _serve(self, session: Session) -> None:
        while not self._stopping.is_set():
            self._flush(session)
            self._pump(session)
            try:
                event = self._inbox.get(timeout=TICK_S)
            except queue.Empty:
                event = None
            if isinstance(event, Lost):
                raise LinkError(event.reason)
            if isinstance(event, Refused):
                self._refused(event)
            if isinstance(event, Received):
                self._dispatch(event)
        self._flush(session)

    def _flush(self, session: Session) -> None:
        while self._outbox:
            item = self._outbox.popleft()
            try:
                session.publish(item[0], item[1], retain=item[2])
            except LinkError:
                if item[3]:
                    self._outbox.appendleft(item)
                raise

    def _pump(self, session: Session) -> None:
        now = time.monotonic()
        self._tend(now)
        topic = topics.build(self._settings.prefix, self._settings.node, "frames")
        while self.window.room() and (frame := self._spool.best(self.window.blocked(now))) is not None:
            payload = self._spool.read(frame)
            if payload is None:
                self.window.forget(frame)
                continue
            self.window.sent(frame, len(payload), now)
            number = session.publish(topic, payload)
            if number is not None:
                self._numbers[number] = frame
            self.counters.frames_sent += 1
            self.counters.bytes_sent += len(payload)

    def _tend(self, now: float) -> None:
        self.window.expire(now)
        for frame, reason in self.window.hopeless().items():
            self._park(frame, reason)
        while len(self._numbers) > 4 * self._settings.window:
            del self._numbers[next(iter(self._numbers))]
        if self.window.silent >= SILENT * self._settings.window and not self._silent:
            log.warning(
                "frames are sent, but no receipts come; is the centre running, and may this node publish?",
                unanswered=self.window.silent,
            )
        self._silent = self.window.silent >= SILENT * self._settings.window
        if now - self._tended >= TEND_S:
            self._tended = now
            self._spool.tend()

    def _park(self, frame: str, reason: str) -> None:
        self.window.forget(frame)
        self._spool.park(frame, reason)

    def _refused(self, event: Refused) -> None:
        """The broker's access rules, its quota or its size limit: say it once, and let a frame rest."""
        self.counters.refused += 1
        kind = (event.topic, event.reason)
        if kind not in self._refusals and len(self._refusals) < COMPLAINTS:
            self._refusals.add(kind)
            log.error(
                "the broker refuses what this node publishes; check its access rules for this node",
                topic=event.topic, reason=event.reason,
            )  # fmt: skip
        frame = self._numbers.pop(event.number, None) if event.number is not None else None
        if frame is not None:
            self.window.refused(frame, event.reason, time.monotonic())

    def _dispatch(self, event: Received) -> None:
        try:
            address = topics.parse(self._settings.prefix, event.topic)
            message: AnyMessage = codec.decode(address.channel, event.payload)
        except (topics.TopicError, codec.CodecError) as error:
            self.counters.bad_messages += 1
            log.warning("a message was not understood", topic=event.topic[:200], reason=str(error))
            if isinstance(error, codec.CodecError):
                self._note(address.channel, str(error))
            return
        self._note(address.channel, "")
        if isinstance(message, Receipt):
            for frame in message.ids:
                self.window.receipt(frame)
            self._spool.remove(message.ids)
            for frame, reason in message.refused.items():
                self._park(frame, reason)
        handler = self._handlers.get(address.channel)
        if handler is None:
            return
        try:
            handler(message)
        except Exception:
            # A handler is foreign to the link: its failure must not cost the connection.
            log.exception("a handler failed", channel=address.channel)

    def _note(self, channel: str, reason: str) -> None:
        """Note why the newest message of a retained channel was not understood; an empty reason: it was."""
        if channel in TOLD:
            self.problems = {**self.problems, channel: reason}


__all__ = [
    "Backoff", "Connector", "Handler", "Inbox", "Link", "LinkCounters", "LinkError", "LinkSettings", "Lost", "Presence",
    "Received", "Refused", "Session", "Will", "Window",
]  # fmt: skip
