"""A small MQTT 3.1.1 client on asyncio, for many connections in one process. Real nodes use `edge.mqtt`.

    open -> CONNECT (with will) -> SUBSCRIBE -> publish at QoS 1 ... -> close, cleanly or as a dropout

It keeps no queue: what is published goes to the socket or, where the connection is gone, nowhere. A publication that
the broker did not acknowledge is not sent again: receipts are what counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from edge.link import LinkError, Will

CONNECT_S: Final = 20.0
"""For the connection, and again for each answer; a thousand nodes connect at once."""
MAX_PACKET: Final = 16 * 1024 * 1024
"""Bytes of one packet; above every limit of the protocol's channels."""
HIGH_WATER: Final = 1024 * 1024
"""Bytes in the socket's buffer from which on `writable` is False."""
CONNACK, PUBLISH, PUBACK, SUBACK, PINGREQ = 2, 3, 4, 9, 12


@dataclass(frozen=True)
class Login:
    """As whom to connect."""

    client_id: str
    username: str = ""
    password: str = ""
    keepalive_s: int = 60


@dataclass(frozen=True)
class Server:
    """Where the broker is."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


def _field(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def packet(first: int, *parts: bytes) -> bytes:
    """Return the packet with first byte `first`, without the last part's content where that is to follow by itself."""
    length, digits = sum(map(len, parts)), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | 0x80 if length else digit)
        if not length:
            break
    return bytes((first, *digits)) + b"".join(parts)


def connect_packet(login: Login, will: Will) -> bytes:
    """Return CONNECT for a clean session, with a retained will at QoS 1."""
    flags = 0x02 | 0x04 | 0x08 | 0x20
    fields = [_field(login.client_id.encode()), _field(will.topic.encode()), _field(will.payload)]
    if login.username:
        flags |= 0x80 | (0x40 if login.password else 0)
        fields.append(_field(login.username.encode()))
        fields += [_field(login.password.encode())] if login.password else []
    head = _field(b"MQTT") + bytes((4, flags)) + login.keepalive_s.to_bytes(2, "big")
    return packet(0x10, head, *fields)


def packets(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take every whole packet from the front of `buffer`: first byte and body. Raises LinkError where it is no MQTT."""
    while len(buffer) >= 2:
        length = at = 0
        while True:
            if at == 4:
                raise LinkError("the broker does not speak MQTT")
            if 1 + at >= len(buffer):
                return
            digit = buffer[1 + at]
            length |= (digit & 0x7F) << 7 * at
            at += 1
            if not digit & 0x80:
                break
        if length > MAX_PACKET:
            raise LinkError(f"the broker sends a packet of {length} bytes")
        if len(buffer) < 1 + at + length:
            return
        first, body = buffer[0], bytes(memoryview(buffer)[1 + at : 1 + at + length])
        del buffer[: 1 + at + length]
        yield first, body


class Client(asyncio.Protocol):
    """One connection, used once. `message` gets what comes (topic, payload), `lost` the reason when it ends by itself,
    `ready` a call when `writable` becomes True again."""

    def __init__(
        self, message: Callable[[str, bytes], None], lost: Callable[[str], None], ready: Callable[[], None]
    ) -> None:
        self.acknowledged = 0
        self.writable = True
        self._message, self._lost, self._ready = message, lost, ready
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._mid = 0
        self._answer: asyncio.Future[bytes] | None = None
        self._ping: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a connection."""
        return self._transport is not None and not self._transport.is_closing()

    async def open(self, server: Server, login: Login, will: Will, filters: list[str]) -> None:
        """Connect and subscribe. Raises LinkError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.create_connection(lambda: self, server.host, server.port, ssl=server.tls)
            code = (await self._ask(connect_packet(login, will)))[1]
            if code:
                raise LinkError(f"broker {server.host}:{server.port} refused the connection (code {code})")
            topics = b"".join(_field(f.encode()) + b"\x01" for f in filters)
            if 0x80 in (await self._ask(packet(0x82, self._next().to_bytes(2, "big"), topics)))[2:]:
                raise LinkError(f"broker {server.host}:{server.port} refused a subscription; check its access rules")
        except (OSError, TimeoutError) as error:
            self.drop()
            raise LinkError(f"broker {server.host}:{server.port} does not answer ({error})") from None
        except BaseException:  # cancelled, too: nothing may stay open
            self.drop()
            raise
        self._keep_alive(login.keepalive_s / 2)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1. Raises LinkError where the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            raise LinkError("the connection is gone")
        head = _field(topic.encode()) + self._next().to_bytes(2, "big")
        self._transport.write(packet(0x33 if retain else 0x32, head, payload))

    def close(self) -> None:
        """Disconnect cleanly: no last will."""
        self._end()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"\xe0\x00")
            self._transport.close()

    def drop(self) -> None:
        """Be gone without a word, as after a power cut."""
        self._end()
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        self._lost = lambda _: None
        if self._ping is not None:
            self._ping.cancel()

    def _next(self) -> int:
        self._mid = self._mid % 65535 + 1
        return self._mid

    async def _ask(self, question: bytes) -> bytes:
        """Send `question` and return the body of the broker's answer to it. Raises LinkError."""
        if self._transport is None:
            raise LinkError("the connection is gone")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(question)
        async with asyncio.timeout(CONNECT_S):
            return await self._answer

    def _keep_alive(self, seconds: float) -> None:
        if self.alive and self._transport is not None:
            self._transport.write(bytes((PINGREQ << 4, 0)))
            self._ping = asyncio.get_running_loop().call_later(seconds, self._keep_alive, seconds)

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(HIGH_WATER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        reason = str(exc or "the broker closed it")
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LinkError(f"connection closed: {reason}"))
            with contextlib.suppress(BaseException):
                self._answer.exception()  # also where nobody waits any more
        lost = self._lost
        self._end()
        lost(reason)

    def pause_writing(self) -> None:
        """The socket is behind."""
        self.writable = False

    def resume_writing(self) -> None:
        """The socket caught up."""
        self.writable = True
        self._ready()

    def data_received(self, data: bytes) -> None:
        """Take packets."""
        self._buffer += data
        try:
            for first, body in packets(self._buffer):
                self._take(first, body)
        except (LinkError, IndexError, UnicodeDecodeError):
            if self._transport is not None:
                self._transport.abort()

    def _take(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == PUBLISH:
            end = 2 + int.from_bytes(body[:2], "big")
            topic, at = body[2:end].decode(), end
            if first & 0x06:
                at += 2
                if self._transport is not None:
                    self._transport.write(bytes((PUBACK << 4, 2)) + body[end:at])
            self._message(topic, body[at:])
        elif kind == PUBACK:
            self.acknowledged += 1
        elif kind in (CONNACK, SUBACK) and self._answer is not None and not self._answer.done():
            self._answer.set_result(body)
