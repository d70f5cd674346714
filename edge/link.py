"""The node's one connection to the broker, and the frames on their way through it.

    spool -> Window -> Link thread -> Connector.connect() -> Session.publish ...
                          ^  receipts, policy, release, chunks, commands   |
                          `------------------- inbox ----------------------'

`Link` owns one thread. It connects, waits with full jitter between attempts, announces the node (`online`, retained;
last will `offline`; `stopped` on a clean end), keeps a bounded window of frames without receipt under way, and hands
every message that decodes to its handler. A connection is used once: after a loss a new one is made, so nothing
queued in the MQTT library can outlive it. Everything that matters is in the spool or in a state machine that asks
again.

`Connector` and `Session` are the seam: `edge.mqtt.PahoConnector`, and `edge.mqtt.MemoryBroker` for tests.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import structlog

from edge.spool import Spool
from protocols import codec, topics
from protocols.messages import AnyMessage, Message, Receipt, Status

log = structlog.get_logger("edge.link")

BACKOFF_BASE_S: Final = 1.0
BACKOFF_CAP_S: Final = 60.0
"""Longest wait between attempts: a node is back within a minute of its broker."""
STEADY_S: Final = 10.0
"""A connection that lived this long starts the backoff anew; one that is dropped at once does not."""
INBOX: Final = 1000
"""Messages waiting for the link's thread; more are dropped and counted, as everything is asked for again."""
OUTBOX: Final = 256
"""Small messages waiting to be published; the oldest give way."""
TICK_S: Final = 0.5
"""Seconds between looks at the receipt timeouts."""
MAX_WINDOW_BYTES: Final = 32 * 1024 * 1024
RETRY_CAP_S: Final = 600.0
"""Longest time that a frame without receipt rests before it is sent again."""
MAX_RESTING: Final = 10_000
"""Frames whose resting time is remembered; an older one is only sent again sooner."""
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


Inbox = queue.Queue[Received | Lost | Refused | None]
"""What the connection tells the link; None only wakes it."""


@dataclass(frozen=True)
class Will:
    """What the broker publishes (retained) when the connection dies."""

    topic: str
    payload: bytes


class Session(Protocol):
    """One live connection."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand over at QoS 1. Raises LinkError where the connection is gone or congested."""
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


class Backoff:
    """Full-jitter exponential backoff: a uniform draw from 0 to ``min(cap, base * 2**n)`` seconds."""

    def __init__(
        self, base: float = BACKOFF_BASE_S, cap: float = BACKOFF_CAP_S, draw: random.Random | None = None
    ) -> None:
        self._base, self._cap, self._draw, self._failures = base, cap, draw or random.Random(), 0

    def reset(self) -> None:
        """Start anew after a steady connection."""
        self._failures = 0

    def next(self) -> float:
        """Return the seconds to wait before the next attempt."""
        ceiling = min(self._cap, self._base * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return self._draw.uniform(0.0, ceiling)


@dataclass
class _Flight:
    sent: float
    size: int


@dataclass
class Window:
    """Which frames are under way without receipt. Pure: the time is passed in (monotonic seconds)."""

    frames: int
    timeout: float
    flights: dict[str, _Flight] = field(default_factory=dict)
    resting: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Frames that got no receipt: how often, and until when they rest, so that one bad frame never blocks the
    others."""
    resent: int = 0

    def room(self) -> bool:
        """Whether another frame may be sent."""
        return len(self.flights) < self.frames and sum(f.size for f in self.flights.values()) < MAX_WINDOW_BYTES

    def blocked(self, now: float) -> set[str]:
        """Return the frames that must not be sent at `now`."""
        return {*self.flights, *(i for i, (_, until) in self.resting.items() if until > now)}

    def sent(self, frame: str, size: int, now: float) -> None:
        """Note that `frame` (`size` bytes) was handed over."""
        self.flights[frame] = _Flight(now, size)

    def receipt(self, frame: str) -> None:
        """Note that `frame` is durably stored, or gone from the spool."""
        self.flights.pop(frame, None)
        self.resting.pop(frame, None)

    def lost(self) -> None:
        """The connection is gone: everything under way is sent again on the next one."""
        self.resent += len(self.flights)
        self.flights.clear()

    def expire(self, now: float) -> None:
        """Give up waiting for receipts that are overdue; each such frame rests twice as long as the time before."""
        for frame, flight in list(self.flights.items()):
            if now - flight.sent >= self.timeout:
                del self.flights[frame]
                times = self.resting.get(frame, (0, 0.0))[0] + 1
                rest = 0.0 if times == 1 else min(RETRY_CAP_S, self.timeout * 2.0 ** (times - 2))
                self.resting[frame] = (times, now + rest)
                self.resent += 1
        while len(self.resting) > MAX_RESTING:
            del self.resting[next(iter(self.resting))]


@dataclass
class LinkCounters:
    """What went over the link since the node started."""

    frames_sent: int = 0
    bytes_sent: int = 0
    connects: int = 0
    bad_messages: int = 0
    dropped: int = 0


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
        self.window = Window(settings.window, settings.receipt_timeout)
        self._settings, self._connector, self._spool = settings, connector, spool
        self._status, self._handlers = status, dict(handlers)
        self._inbox: Inbox = queue.Queue(INBOX)
        self._outbox: deque[tuple[str, bytes, bool, bool]] = deque(maxlen=OUTBOX)
        self._backoff = Backoff(settings.backoff_base, settings.backoff_cap)
        self._connected, self._stopping = threading.Event(), threading.Event()
        self._complaint = ""
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
            self.send("status", self._status("online"), retain=True)

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
        topic = topics.build(s.prefix, s.node, "status")
        will = Will(topic, codec.encode("status", self._status("offline")))
        inbox: Inbox = queue.Queue(INBOX)
        self._inbox = inbox
        session = self._connector.connect(will, topics.subscriptions(s.prefix, "node", s.node), inbox)
        try:
            session.publish(topic, codec.encode("status", self._status("online")), retain=True)
            self.counters.connects += 1
            self._complaint = ""
            self._connected.set()
            log.info("connected to the broker", waiting_frames=len(self._spool))
            self._serve(session)
            if self._stopping.is_set():
                session.publish(topic, codec.encode("status", self._status("stopped")), retain=True)
        finally:
            self._connected.clear()
            self.window.lost()
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
                log.warning("the broker refused a message; check its access rules", reason=event.reason)
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
        self.window.expire(now)
        topic = topics.build(self._settings.prefix, self._settings.node, "frames")
        while self.window.room() and (frame := self._spool.best(self.window.blocked(now))) is not None:
            payload = self._spool.read(frame)
            if payload is None:
                self.window.receipt(frame)
                continue
            session.publish(topic, payload)
            self.window.sent(frame, len(payload), now)
            self.counters.frames_sent += 1
            self.counters.bytes_sent += len(payload)

    def _dispatch(self, event: Received) -> None:
        try:
            address = topics.parse(self._settings.prefix, event.topic)
            message: AnyMessage = codec.decode(address.channel, event.payload)
        except (topics.TopicError, codec.CodecError) as error:
            self.counters.bad_messages += 1
            log.warning("a message was not understood", topic=event.topic[:200], reason=str(error))
            return
        if isinstance(message, Receipt):
            for frame in message.ids:
                self.window.receipt(frame)
            self._spool.remove(message.ids)
        handler = self._handlers.get(address.channel)
        if handler is None:
            return
        try:
            handler(message)
        except Exception:
            # A handler is foreign to the link: its failure must not cost the connection.
            log.exception("a handler failed", channel=address.channel)
