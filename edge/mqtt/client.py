"""One connection of one paho client, and what makes connections."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Final, Literal

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.link import Inbox, LinkError, Lost, Received, Refused, Session, Will
from edge.mqtt import tls as tls_module
from edge.mqtt.tls import Tls

log = structlog.get_logger("edge.link")

CONNECT_S: Final = 5.0
"""Seconds for each of: TCP and TLS, the broker's answer, the subscriptions."""
PROBE_S: Final = 2.0
"""Seconds for the answer to MQTT 5 where it is not known that the broker speaks it; some brokers just keep silent."""
MAX_QUEUED: Final = 512
"""Messages inside paho; more than the link's window and outbox together."""
MAX_INFLIGHT: Final = 64
WATCH_S: Final = 1.0
"""Between two looks at the network thread."""
STALL_KEEPALIVES: Final = 2.0
"""Keepalive intervals without a confirmation of anything that waits for one, after which a connection counts as
dead."""
CLOSE_S: Final = 2.0
"""Seconds that paho's thread gets to end; one that hangs is left behind."""

Version = Literal["3.1.1", "5", "auto"]


@dataclass(frozen=True)
class Broker:
    """Where the broker is and how to get in."""

    host: str
    port: int = 1883
    client_id: str = ""
    username: str = ""
    password: str = ""
    version: Version = "3.1.1"
    """auto: 5, and 3.1.1 where the broker does not speak that."""
    keepalive_s: int = 30
    tls: Tls | None = None

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}"


class UnspokenError(LinkError):
    """A broker that gave no answer to CONNECT, or said that it does not speak this version."""


def _never_raises(callback: Callable[..., None]) -> Callable[..., None]:
    """What a callback raises would end paho's thread without a word: log it, and count the connection as lost."""

    @wraps(callback)
    def guarded(self: PahoSession, *args: Any) -> None:
        try:
            callback(self, *args)
        except Exception as error:
            # The boundary to a library: nothing may come through.
            log.exception("a callback failed")
            self._tell(Lost(f"a callback failed ({type(error).__name__})"))

    return guarded


class PahoSession:
    """One connection of one paho client."""

    def __init__(self, broker: Broker, will: Will, inbox: Inbox) -> None:
        five = broker.version == "5"
        fresh: dict[str, Any] = {} if five else {"clean_session": True}
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, broker.client_id, protocol=paho.MQTTv5 if five else paho.MQTTv311,
            reconnect_on_failure=False, **fresh,
        )  # fmt: skip
        self._broker, self._inbox = broker, inbox
        self._answered, self._subscribed, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._refusal: str | None = None
        self._unspoken = False
        self._handed_over: deque[paho.MQTTMessageInfo] = deque(maxlen=MAX_QUEUED)
        self._confirmed = time.monotonic()
        self._topics: dict[int, str] = {}
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

    def open(self, filters: list[str], patience: float | None = None) -> None:
        """Connect and subscribe; wait `patience` seconds for the broker's first answer. Raises LinkError."""
        where = f"{self._broker.host}:{self._broker.port}"
        try:
            self._client.connect(self._broker.host, self._broker.port, self._broker.keepalive_s)
        except (OSError, ValueError) as error:
            why = tls_module.explain(error, self._broker.tls, self._broker.host)
            said = "cannot be trusted" if isinstance(error, ssl.SSLError) else "does not answer"
            raise LinkError(f"broker {where} {said}: {why}") from None
        self._client.loop_start()
        threading.Thread(target=self._watch, name="link-watch", daemon=True).start()
        patience = CONNECT_S if patience is None else patience
        if not self._answered.wait(patience):
            raise UnspokenError(f"broker {where} did not answer within {patience:.0f} s; is it an MQTT broker?")
        if self._refusal is not None:
            hint = tls_module.own(self._broker.tls) if self._unspoken else "; check user name, password and certificate"
            kind = UnspokenError if self._unspoken else LinkError
            raise kind(f"broker {where} refused the connection ({self._refusal}){hint}")
        self._client.subscribe([(f, 1) for f in filters])
        if not self._subscribed.wait(CONNECT_S):
            raise LinkError(f"broker {where} did not confirm the subscriptions within {CONNECT_S:.0f} s")
        if self._refusal is not None:
            raise LinkError(
                f"broker {where} refused a subscription ({self._refusal}); check its access rules for this node"
            )

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand over at QoS 1, and return the number by which `Refused` names it. Raises LinkError."""
        try:
            info = self._client.publish(topic, payload, qos=1, retain=retain)
        except ValueError as error:
            raise LinkError(f"{topic}: {error}") from None
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise LinkError(
                f"the connection to {self._broker.host} is gone or congested ({paho.error_string(info.rc)})"
            )
        while self._handed_over and self._handed_over[0].is_published():
            self._handed_over.popleft()
        if not self._handed_over:
            self._confirmed = time.monotonic()
        self._handed_over.append(info)
        self._topics[info.mid] = topic
        while len(self._topics) > 2 * MAX_QUEUED:
            self._topics.pop(next(iter(self._topics)), None)
        return info.mid

    def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the broker to confirm what was handed over, then disconnect."""
        until = time.monotonic() + timeout
        while self._client.is_connected() and time.monotonic() < until:
            if all(info.is_published() for info in self._handed_over):
                break
            time.sleep(0.01)
        self._closing = True
        self._ended.set()
        closer = threading.Thread(target=self._disconnect, name="link-close", daemon=True)
        closer.start()
        closer.join(CLOSE_S)
        if closer.is_alive():
            log.warning("a connection does not end; it is left behind")
            raw = self._client.socket()
            with contextlib.suppress(OSError, ValueError):
                if isinstance(raw, socket.socket):
                    raw.shutdown(socket.SHUT_RDWR)

    def _disconnect(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
        self._client.loop_stop()

    def _watch(self) -> None:
        """Notice a network thread that died or hangs: then nobody else would say that the connection is gone."""
        stall = STALL_KEEPALIVES * self._broker.keepalive_s
        while not self._ended.wait(WATCH_S):
            thread = getattr(self._client, "_thread", None)
            if thread is None or not thread.is_alive():
                self._end("paho's network thread died")
            elif time.monotonic() - self._confirmed > stall and any(
                not info.is_published() for info in list(self._handed_over)
            ):
                self._end(f"nothing was confirmed for {stall:.0f} s")

    def _end(self, reason: str) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._answered.set()
            self._subscribed.set()
            self._tell(Lost(f"the connection to the broker is dead: {reason}"))

    def _tell(self, event: Received | Lost | Refused) -> None:
        try:
            self._inbox.put_nowait(event)
        except queue.Full:
            if isinstance(event, Lost):  # must arrive: make room by dropping the oldest
                with contextlib.suppress(queue.Empty):
                    self._inbox.get_nowait()
                with contextlib.suppress(queue.Full):
                    self._inbox.put_nowait(event)

    @_never_raises
    def _on_connect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Properties | None) -> None:
        self._refusal = str(code) if code.is_failure else None
        self._unspoken = code.is_failure and str(code) == "Unsupported protocol version"
        self._answered.set()

    @_never_raises
    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Properties | None) -> None:
        if not self._answered.is_set():
            self._unspoken, self._refusal = True, f"connection closed: {code}"
        elif not self._subscribed.is_set() and self._refusal is None:
            self._refusal = f"connection closed: {code}"
        self._answered.set()
        self._subscribed.set()
        if not self._closing and not self._ended.is_set():
            self._ended.set()
            self._tell(Lost(f"the connection to the broker ended ({code})"))

    @_never_raises
    def _on_subscribe(self, _c: Any, _u: Any, _m: int, codes: list[ReasonCode], _p: Properties | None) -> None:
        self._refusal = next((str(code) for code in codes if code.is_failure), None)
        self._subscribed.set()

    @_never_raises
    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        with contextlib.suppress(UnicodeDecodeError):
            self._tell(Received(message.topic, bytes(message.payload)))

    @_never_raises
    def _on_publish(self, _c: Any, _u: Any, number: int, code: ReasonCode, _p: Properties | None) -> None:
        self._confirmed = time.monotonic()
        topic = self._topics.pop(number, "")
        if code.is_failure:
            self._tell(Refused(str(code), topic, number))


class PahoConnector:
    """Connects to `broker` with a new paho client each time."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._spoken: Version = broker.version

    def connect(self, will: Will, filters: list[str], inbox: Inbox) -> Session:
        """Connect, subscribe and return the session. Raises LinkError."""
        if self._spoken != "auto":
            return self._open(self._spoken, will, filters, inbox)
        try:
            session = self._open("5", will, filters, inbox, PROBE_S)
            self._spoken = "5"
        except UnspokenError as refusal:
            # It may be the certificate, or no broker at all: then 3.1.1 fails as well, and says why.
            log.debug("the broker does not answer to MQTT 5", reason=str(refusal))
            while not inbox.empty():
                inbox.get_nowait()
            session = self._open("3.1.1", will, filters, inbox)
            self._spoken = "3.1.1"
        return session

    def _open(
        self, version: Version, will: Will, filters: list[str], inbox: Inbox, patience: float | None = None
    ) -> Session:
        session = PahoSession(replace(self.broker, version=version), will, inbox)
        try:
            session.open(filters, patience)
        except LinkError:
            session.close(0.0)
            raise
        return session
