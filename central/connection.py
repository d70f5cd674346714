"""One connection of the link to the broker: a paho client and its thread.

The callbacks run on paho's thread, which ends for good where one raises: they only hand over.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from central.address import LinkError
from central.flow import UnderWay
from central.readahead import Client
from central.sharing import PLAIN

if TYPE_CHECKING:
    from central.link import Link

log = structlog.get_logger("central.link")
KEEPALIVE_S: Final = 60
INFLIGHT: Final = 100
"""QoS 1 messages under way to the broker at a time; its default of 20 would wait for a round trip per receipt."""
CONNECT_S: Final = 10.0
"""For the TCP connection, and again for the broker's answer."""


class Connection:
    """One paho client and its thread, used for one connection."""

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop, under_way: UnderWay) -> None:
        self._link, self._loop, self._under_way = link, loop, under_way
        self.lost: asyncio.Future[str] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._answered = False
        self.client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"centre-{secrets.token_hex(8)}",
            protocol=mqtt.MQTTv311 if link.part in PLAIN else mqtt.MQTTv5,
            # The library's own reconnect has no jitter and keeps its queue; `Link` makes a new client instead.
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(INFLIGHT)
        if link.address.username:
            client.username_pw_set(link.address.username, link.address.password)
        if link.address.tls:
            client.tls_set_context(link.address.context())
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish

    async def open(self) -> None:
        """Connect and subscribe. Raises LinkError."""
        address = self._link.address
        try:
            await asyncio.to_thread(self.client.connect, address.host, address.port, KEEPALIVE_S)
        except OSError as error:
            raise LinkError(f"broker {address!r}: {error.strerror or error}; is it running?") from None
        self.client.loop_start()
        try:
            await asyncio.wait_for(self._ready, CONNECT_S)
        except TimeoutError:
            raise LinkError(f"broker {address!r}: no answer within {CONNECT_S:.0f} s") from None

    def close(self) -> None:
        """Disconnect and end the thread; what comes from now on is of no interest."""
        self.client.on_message = None
        self.client.disconnect()
        self.client.loop_stop()

    def _tell(self, future: asyncio.Future[Any], result: Any = None, error: str = "") -> None:
        def settle() -> None:
            if not future.done():
                future.set_exception(LinkError(error)) if error else future.set_result(result)

        with contextlib.suppress(RuntimeError):  # the loop ended before the connection did
            self._loop.call_soon_threadsafe(settle)

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        self._answered = True
        try:
            self._check_sharing(str(reason) if reason.is_failure else "", properties)
        except LinkError as error:
            self._tell(self._ready, error=str(error))
            return
        if reason.is_failure:
            self._tell(self._ready, error=f"broker {self._link.address!r}: refused ({reason}); check user and password")
            return
        self._link._asked = set(self._link.filters())
        client.subscribe([(f, 1) for f in sorted(self._link._asked)])

    def _check_sharing(self, refusal: str, properties: Any) -> None:
        """Go on without sharing where the broker has no MQTT 5, or no shared subscriptions."""
        if self._link.part in PLAIN:
            return
        if "protocol version" in refusal.lower():
            self._link.unshared("no MQTT 5")
        elif not refusal and getattr(properties, "SharedSubscriptionAvailable", 1) == 0:
            self._link.unshared("the broker says so")

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        if any(r.is_failure for r in reasons):
            why = "refused a subscription; check its access rules"
            self._tell(self._ready, error=f"broker {self._link.address!r}: {why}")
            self._tell(self.lost, why)
        else:
            self._tell(self._ready)

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self._answered and self._link.part in ("shared", "member"):
            self._link.unshared("it hung up on MQTT 5")
        self._tell(self._ready, error=f"broker {self._link.address!r}: hung up ({reason})")
        self._tell(self.lost, str(reason))

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            self._link._received(message.topic, bytes(message.payload))
        except Exception:
            # A topic that is not UTF-8, a loop that is closing: paho's thread must live on.
            log.exception("a message could not be handed over")

    def _on_publish(self, _client: mqtt.Client, _data: Any, mid: int, _reason: Any, _properties: Any) -> None:
        self._under_way.acknowledged(mid)
