"""The two ways to a broker: paho-mqtt over the network, and one in memory for tests and simulations.

paho keeps an unlimited queue, reconnects without jitter, and dies silently when a callback raises. So a client is used
for one connection only, its queue is bounded, and its callbacks do nothing but put into the link's inbox.
"""

from __future__ import annotations

import contextlib
import queue
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.link import Inbox, LinkError, Lost, Received, Refused, Session, Will

CONNECT_S: Final = 5.0
"""Seconds for each of: TCP and TLS, the broker's answer, the subscriptions."""
MAX_QUEUED: Final = 512
"""Messages inside paho; more than the link's window and outbox together."""
MAX_INFLIGHT: Final = 64


@dataclass(frozen=True)
class Tls:
    """Files of the TLS connection; `ca` None means the system's authorities."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name_check: bool = True

    def context(self) -> ssl.SSLContext:
        """Return the context, TLS 1.2 or newer. Raises LinkError where a file is unusable."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.check_hostname = self.server_name_check
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ValueError) as error:
            raise LinkError(f"TLS files are not usable ({error}); check mqtt.tls.ca, cert and key") from None
        return context


@dataclass(frozen=True)
class Broker:
    """Where the broker is and how to get in."""

    host: str
    port: int = 1883
    client_id: str = ""
    username: str = ""
    password: str = ""
    version: Literal["3.1.1", "5"] = "3.1.1"
    keepalive_s: int = 30
    tls: Tls | None = None

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}"


class PahoSession:
    """One connection of one paho client."""

    def __init__(self, broker: Broker, will: Will, inbox: Inbox) -> None:
        version = paho.MQTTv5 if broker.version == "5" else paho.MQTTv311
        fresh: dict[str, Any] = {} if broker.version == "5" else {"clean_session": True}
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, broker.client_id, protocol=version, reconnect_on_failure=False, **fresh
        )
        self._broker, self._inbox = broker, inbox
        self._answered, self._subscribed = threading.Event(), threading.Event()
        self._refusal: str | None = None
        self._handed_over: deque[paho.MQTTMessageInfo] = deque(maxlen=MAX_QUEUED)
        self._closing = False
        c = self._client
        c.connect_timeout = CONNECT_S
        c.max_queued_messages_set(MAX_QUEUED)
        c.max_inflight_messages_set(MAX_INFLIGHT)
        c.will_set(will.topic, will.payload, qos=1, retain=True)
        if broker.username:
            c.username_pw_set(broker.username, broker.password or None)
        if broker.tls:
            c.tls_set_context(broker.tls.context())
        c.on_connect, c.on_disconnect = self._on_connect, self._on_disconnect
        c.on_message, c.on_subscribe, c.on_publish = self._on_message, self._on_subscribe, self._on_publish

    def open(self, filters: list[str]) -> None:
        """Connect and subscribe. Raises LinkError."""
        where = f"{self._broker.host}:{self._broker.port}"
        try:
            self._client.connect(self._broker.host, self._broker.port, self._broker.keepalive_s)
        except (OSError, ValueError) as error:
            raise LinkError(
                f"broker {where} does not answer ({error}); is it running, and the address right?"
            ) from None
        self._client.loop_start()
        if not self._answered.wait(CONNECT_S):
            raise LinkError(f"broker {where} did not answer within {CONNECT_S:.0f} s; is it an MQTT broker?")
        if self._refusal is not None:
            raise LinkError(
                f"broker {where} refused the connection ({self._refusal}); check user name, password and certificate"
            )
        self._client.subscribe([(f, 1) for f in filters])
        if not self._subscribed.wait(CONNECT_S):
            raise LinkError(f"broker {where} did not confirm the subscriptions within {CONNECT_S:.0f} s")
        if self._refusal is not None:
            raise LinkError(
                f"broker {where} refused a subscription ({self._refusal}); check its access rules for this node"
            )

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand over at QoS 1. Raises LinkError."""
        try:
            info = self._client.publish(topic, payload, qos=1, retain=retain)
        except ValueError as error:
            raise LinkError(f"{topic}: {error}") from None
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise LinkError(
                f"the connection to {self._broker.host} is gone or congested ({paho.error_string(info.rc)})"
            )
        self._handed_over.append(info)

    def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the broker to confirm what was handed over, then disconnect."""
        until = time.monotonic() + timeout
        while self._client.is_connected() and time.monotonic() < until:
            if all(info.is_published() for info in self._handed_over):
                break
            time.sleep(0.01)
        self._closing = True
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
        self._client.loop_stop()

    def _tell(self, event: Received | Lost | Refused) -> None:
        try:
            self._inbox.put_nowait(event)
        except queue.Full:
            if isinstance(event, Lost):  # must arrive: make room by dropping the oldest
                with contextlib.suppress(queue.Empty):
                    self._inbox.get_nowait()
                with contextlib.suppress(queue.Full):
                    self._inbox.put_nowait(event)

    def _on_connect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Properties | None) -> None:
        self._refusal = str(code) if code.is_failure else None
        self._answered.set()

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Properties | None) -> None:
        if not self._answered.is_set():
            self._refusal = f"connection closed: {code}"
        self._answered.set()
        self._subscribed.set()
        if not self._closing:
            self._tell(Lost(f"the connection to the broker ended ({code})"))

    def _on_subscribe(self, _c: Any, _u: Any, _m: int, codes: list[ReasonCode], _p: Properties | None) -> None:
        self._refusal = next((str(code) for code in codes if code.is_failure), None)
        self._subscribed.set()

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        with contextlib.suppress(UnicodeDecodeError):
            self._tell(Received(message.topic, bytes(message.payload)))

    def _on_publish(self, _c: Any, _u: Any, _m: int, code: ReasonCode, _p: Properties | None) -> None:
        if code.is_failure:
            self._tell(Refused(str(code)))


class PahoConnector:
    """Connects to `broker` with a new paho client each time."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def connect(self, will: Will, filters: list[str], inbox: Inbox) -> Session:
        """Connect, subscribe and return the session. Raises LinkError."""
        session = PahoSession(self.broker, will, inbox)
        try:
            session.open(filters)
        except LinkError:
            session.close(0.0)
            raise
        return session


class MemoryBroker:
    """A broker in memory: retained messages, last wills, and switches for what goes wrong. Also a `Connector`."""

    def __init__(self) -> None:
        self.down = False
        """Whether connections are refused."""
        self.deaf = False
        """Whether publications are taken and lost."""
        self.published: list[tuple[str, bytes]] = []
        self.retained: dict[str, bytes] = {}
        self._sessions: list[MemorySession] = []
        self._watchers: list[Callable[[str, bytes], None]] = []
        self._lock = threading.RLock()

    def connect(self, will: Will, filters: list[str], inbox: Inbox) -> Session:
        """Connect. Raises LinkError while `down`."""
        if self.down:
            raise LinkError("broker in memory is down")
        session = MemorySession(self, will, filters, inbox)
        with self._lock:
            self._sessions.append(session)
            for topic, payload in self.retained.items():
                session.deliver(topic, payload)
        return session

    def watch(self, watcher: Callable[[str, bytes], None]) -> None:
        """Call `watcher` with each publication, as the centre would see it."""
        self._watchers.append(watcher)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish, from whoever."""
        if self.deaf:
            return
        with self._lock:
            if retain:
                self.retained[topic] = payload
            self.published.append((topic, payload))
            for session in self._sessions:
                session.deliver(topic, payload)
        for watcher in self._watchers:
            watcher(topic, payload)

    def kick(self) -> None:
        """Cut every connection, as a broker that dies: last wills are published."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.cut()
            self.publish(session.will.topic, session.will.payload, retain=True)

    def leave(self, session: MemorySession) -> None:
        """Forget `session`."""
        with self._lock:
            self._sessions = [s for s in self._sessions if s is not session]


class MemorySession:
    """One connection to a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, will: Will, filters: list[str], inbox: Inbox) -> None:
        self.will = will
        self._broker, self._inbox, self._alive = broker, inbox, True
        self._filters = [f.split("/") for f in filters]

    def deliver(self, topic: str, payload: bytes) -> None:
        """Hand a publication to the subscriber, if it wants it."""
        levels = topic.split("/")
        if any(
            len(f) == len(levels) and all(a in ("+", b) for a, b in zip(f, levels, strict=True)) for f in self._filters
        ):
            with contextlib.suppress(queue.Full):
                self._inbox.put_nowait(Received(topic, payload))

    def cut(self) -> None:
        """The connection is gone."""
        self._alive = False
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait(Lost("cut"))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand over. Raises LinkError where the connection was cut."""
        if not self._alive:
            raise LinkError("connection was cut")
        self._broker.publish(topic, payload, retain=retain)

    def close(self, timeout: float) -> None:
        """Disconnect cleanly."""
        self._alive = False
        self._broker.leave(self)
