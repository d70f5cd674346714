"""The centre's connection to the broker: paho on its own thread, a bridge into asyncio.

    broker -> paho thread -> Gate (blocks while the centre is behind) -> event loop -> `deliver`
    publish, request (any coroutine) -> paho -> broker

Several processes may share the frames (`Part`): the broker hands each frame to one of them, where it can (MQTT 5,
shared subscriptions). Where it cannot, the first takes them all. Several servers share nearly everything alike; what
the broker retains is for the one that leads, and every one hears the answers to its own commands.

A connection is used once: after a loss a new client is made, with full-jitter waits in between, so that nothing in the
library's queue outlives it. What a lost connection swallowed is asked for again by the nodes, or published again by the
centre when `on_up` says that the link is there.

Back-pressure: bytes that were received but not yet processed are bounded by the Gate. While it is closed the network
thread does not read, so the sender is slowed by TCP instead of filling this process's memory.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import paho.mqtt.client as mqtt
import structlog

from central.address import BrokerAddress, LinkError, parse_url
from central.connection import Connection
from central.flow import Gate, UnderWay
from central.sharing import SHARE, Part, filters
from protocols import codec, topics
from protocols.messages import Command, Message, Reply

log = structlog.get_logger("central.link")
__all__ = [
    "SHARE", "BrokerAddress", "Link", "LinkCounters", "LinkError", "Part", "Publisher", "Received", "backoff",
    "parse_url",
]  # fmt: skip

GATE_WAIT_S: Final = 20.0
"""Longest pause of the network thread: well inside the keep-alive, or the broker would hang up. Then the message is
dropped and counted; its node sends it again."""
CANCEL_S: Final = 5.0
"""For the connection to close before it is told again."""
QUIET: Final = 4
QUIET_S: Final = 0.05
"""A link that drains is empty once nothing was there at QUIET looks in a row: the broker's last messages are under way
when it is told to send no more."""
OVERHEAD: Final = 1024
"""Bytes that a message holds beside its payload, so that a flood of empty ones is bounded as well."""
BACKOFF_BASE_S: Final = 0.5
BACKOFF_CAP_S: Final = 15.0
"""There is one centre and everybody waits for it, so it comes back sooner than a node would."""


@dataclass(frozen=True)
class Received:
    """A message as it came: not decoded, not trusted beyond its topic. `size` counts against the Gate."""

    node: str
    channel: str
    camera: str
    payload: bytes
    at: float = field(default_factory=time.monotonic, compare=False)
    """When it came, seconds of this machine's clock that never goes back."""

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.payload) + OVERHEAD


class Publisher(Protocol):
    """The way back to the nodes."""

    def publish(self, channel: str, node: str, message: Message) -> bool:
        """Hand `message` over; False where there is no connection or too much under way. Never blocks."""
        ...


def backoff(failures: int, draw: random.Random) -> float:
    """Return the seconds to wait after `failures` failures in a row: uniform from 0 to a doubling, capped bound."""
    return draw.uniform(0.0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(failures, 16)))


@dataclass
class LinkCounters:
    """What went over the link since it started."""

    received: int = 0
    received_bytes: int = 0
    published: int = 0
    published_bytes: int = 0
    refused: int = 0
    """Not published: no connection, or too much under way."""
    dropped: int = 0
    """Received while the centre was behind for too long."""
    foreign: int = 0
    """On topics that are not ours."""
    connects: int = 0


class Link:
    """Keeps the centre connected. `deliver` gets every message, on the event loop, and must call `done` on each later;
    `on_up` is called on the event loop after each (re)connection."""

    def __init__(
        self,
        address: BrokerAddress,
        prefix: str,
        deliver: Callable[[Received], None],
        on_up: Callable[[], None] = lambda: None,
        part: Part = "all",
    ) -> None:
        self.address, self.counters, self.gate = address, LinkCounters(), Gate()
        self.wish: Part = part
        self.part: Part = part
        """What the broker can do of the wish, as far as is known; asked for anew after each connection."""
        self.leads = self.serves = False
        """Of several servers: whether this one leads, and whether it can answer what nodes fetch."""
        self._prefix, self._deliver, self._on_up = topics.check_prefix(prefix), deliver, on_up
        self._client: mqtt.Client | None = None
        self._asked: set[str] = set()
        """Filters of this connection."""
        self._under_way = UnderWay()
        self._replies: dict[str, tuple[str, asyncio.Future[Reply]]] = {}
        self._draining = False
        self._arrived: deque[Received] = deque()
        self._woken = False
        self._draw = random.Random()
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection with its subscriptions."""
        return self._up.is_set()

    async def start(self) -> None:
        """Begin to connect, in the background."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="link")

    async def wait_connected(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for a connection. Raises LinkError."""
        try:
            await asyncio.wait_for(self._up.wait(), timeout)
        except TimeoutError:
            raise LinkError(f"broker {self.address!r}: no connection within {timeout:.0f} s") from None

    async def stop(self) -> None:
        """Disconnect and end the threads."""
        self.gate.close()
        while self._task is not None and not self._task.done():
            self._task.cancel()  # again, where it was lost: `wait_for` may end just as it comes
            await asyncio.wait([self._task], timeout=CANCEL_S)
        for _, future in self._replies.values():
            future.cancel()

    def filters(self) -> list[str]:
        """Return what to subscribe to."""
        return filters(self._prefix, self.part, self.leads, self.serves)

    def lead(self, leads: bool) -> None:
        """From now on, lead or do not. What the broker retains is heard anew by whoever begins to."""
        self.leads = leads
        self._ask_anew()

    def _ask_anew(self) -> None:
        client, wanted = self._client, set(self.filters())
        if client is None or not self._up.is_set():
            return  # the next connection asks for what counts then
        more, less = sorted(wanted - self._asked), sorted(self._asked - wanted)
        self._asked = wanted
        if more:
            client.subscribe([(f, 1) for f in more])
        if less:
            client.unsubscribe(less)

    async def drain(self, timeout: float) -> bool:
        """Ask the broker for nothing any more, and wait until what came was processed; False where that takes longer
        than `timeout` seconds. Frames that are not receipted by then are sent again, to whoever is there."""
        self._draining = True
        client = self._client
        if client is None or not self._up.is_set():
            return True
        if self._asked:
            client.unsubscribe(sorted(self._asked))
        deadline = time.monotonic() + timeout
        quiet = 0
        while time.monotonic() < deadline:
            quiet = quiet + 1 if self.gate.held == 0 and not self._arrived else 0
            if quiet >= QUIET:
                return True
            await asyncio.sleep(QUIET_S)
        return False

    def unshared(self, reason: str) -> None:
        """Go on without sharing, as the broker cannot. Raises LinkError where there is nothing to do then."""
        if self.part == "frames":
            raise LinkError(f"broker {self.address!r}: no shared subscriptions ({reason}); nothing to do for a worker")
        log.warning("the broker cannot share frames out; one process takes them all", reason=reason)
        self.part = "lone" if self.wish == "member" else "all"

    def done(self, received: Received) -> None:
        """Say that `received` was processed, so that the next may come."""
        self.gate.leave(received.size)

    def publish(self, channel: str, node: str, message: Message) -> bool:
        """Publish at QoS 1, retained where the channel is. Returns False where it could not be handed over; raises
        CodecError where `message` does not belong on `channel`."""
        topic = topics.build(self._prefix, node, channel)
        return self._hand(topic, codec.encode(channel, message), topics.CHANNELS[channel].retained)

    def retract(self, channel: str, node: str) -> bool:
        """Take back what is retained on `channel` for `node`; as `publish`."""
        return self._hand(topics.build(self._prefix, node, channel), b"", True)

    def announce(self, topic: str, payload: bytes) -> bool:
        """Publish something beside the channels, retained; as `publish`."""
        return self._hand(topic, payload, True)

    def _hand(self, topic: str, payload: bytes, retain: bool) -> bool:
        client = self._client
        if client is None or not self._up.is_set() or not self._under_way.fits(len(payload)):
            self.counters.refused += 1
            return False
        info = client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            self.counters.refused += 1
            return False
        self._under_way.sent(info.mid, len(payload))
        self.counters.published += 1
        self.counters.published_bytes += len(payload)
        return True

    async def request(self, node: str, command: Command, timeout: float) -> Reply:
        """Send `command` to `node` and return its answer. Raises LinkError after `timeout` seconds without one."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replies[command.id] = (node, future)
        try:
            if not self.publish("command", node, command):
                raise LinkError(f"node {node}: no connection to the broker")
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise LinkError(f"node {node}: no answer within {timeout:.0f} s") from None
        finally:
            self._replies.pop(command.id, None)

    def answer(self, node: str, reply: Reply) -> None:
        """Hand `reply`, which came from `node`, to whoever waits for it."""
        asked, future = self._replies.get(reply.id, ("", None))
        if future is not None and asked == node and not future.done():
            future.set_result(reply)

    async def _run(self) -> None:
        failures, complaint = 0, ""
        while True:
            began = time.monotonic()
            try:
                await self._live()
            except LinkError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    log.warning("no connection to the broker; trying again", reason=complaint)
            if self.counters.connects and time.monotonic() - began > BACKOFF_CAP_S:
                failures, complaint = 0, ""
            await asyncio.sleep(backoff(failures, self._draw))
            failures += 1
            if self._draining:
                return

    async def _live(self) -> None:
        """One connection, from connecting to its end. Raises LinkError where there was none."""
        self._under_way = UnderWay()
        connection = Connection(self, asyncio.get_running_loop(), self._under_way)
        try:
            await connection.open()
            self._client = connection.client
            self._up.set()
            self._ask_anew()  # who began to lead meanwhile
            self.counters.connects += 1
            log.info("connected to the broker", broker=repr(self.address))
            self._on_up()
            log.warning("the connection to the broker is gone", reason=await connection.lost)
        finally:
            if self._up.is_set():
                self.part = self.wish
            self._up.clear()
            self._client = None
            await asyncio.shield(asyncio.to_thread(connection.close))

    def _received(self, topic: str, payload: bytes) -> None:
        """On paho's thread."""
        self.counters.received += 1
        self.counters.received_bytes += len(payload)
        try:
            address = topics.parse(self._prefix, topic)
        except topics.TopicError:
            self.counters.foreign += 1
            return
        if not payload:
            return  # a cleared retained message
        received = Received(address.node, address.channel, address.camera, payload)
        if not self.gate.enter(received.size, GATE_WAIT_S):
            self.counters.dropped += 1
            return
        # Waking the loop costs more than a message; one that is awake takes all that came meanwhile.
        self._arrived.append(received)
        if not self._woken and self._loop is not None:
            self._woken = True
            self._loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        self._woken = False  # before the first look: what comes from now on wakes the loop again
        while self._arrived:
            self._deliver(self._arrived.popleft())
