"""paho, reading ahead: what the kernel has is taken in one go, and every whole packet of it is handled at once.

The library asks the kernel for each packet's first byte, for each byte of its length and for its content, waits in
`select` between packets, and lets another thread run at each of these. At a few thousand frames per second that is most
of what receiving costs. `ReadAhead` stands between the library and its socket; `pending` is how the library learns that
there is more, as it does with TLS.
"""

from __future__ import annotations

import time
from typing import Any, Final, cast

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

AHEAD: Final = 256 * 1024
"""Bytes read ahead: a few frames, and little enough to stay in the processor's cache until they were handled."""
DRAIN_S: Final = 0.5
"""After which the library looks at its keep-alive and at what is to be sent, whatever is left to read: handling a
message may block while the centre is behind."""


class ReadAhead:
    """A socket that does not block, read through a buffer."""

    def __init__(self, raw: Any) -> None:
        """Read ahead of `raw`, a socket, a TLS socket, or what the library makes of one."""
        self._raw = raw
        self._buffer = bytearray(AHEAD)
        self._view = memoryview(self._buffer)
        self._at = self._end = 0

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes; none where the other side hung up. Raises OSError, as the socket does."""
        if self._at == self._end:
            if size >= AHEAD:
                return cast(bytes, self._raw.recv(size))
            self._at = self._end = 0
            self._end = self._raw.recv_into(self._view)
        first, self._at = self._at, min(self._end, self._at + size)
        return bytes(self._view[first : self._at])

    def pending(self) -> int:
        """Return how many bytes can be had without asking the kernel."""
        below = self._raw.pending() if hasattr(self._raw, "pending") else 0
        return self._end - self._at + int(below)

    def send(self, data: bytes | bytearray) -> int:
        """Send, as the socket does."""
        return int(self._raw.send(data))

    def fileno(self) -> int:
        """Return the number of the socket."""
        return int(self._raw.fileno())

    def setblocking(self, flag: bool) -> None:
        """As the socket."""
        self._raw.setblocking(flag)

    def close(self) -> None:
        """Close the socket; what was read ahead is gone."""
        self._at = self._end = 0
        self._raw.close()


class Client(mqtt.Client):
    """paho's client over TCP or TLS, reading ahead."""

    def _create_socket(self) -> ReadAhead:
        return ReadAhead(super()._create_socket())

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Handle every packet that is there."""
        until = time.monotonic() + DRAIN_S
        while True:
            result = super().loop_read(max_packets)
            held = self._sock
            if result or not isinstance(held, ReadAhead) or not held.pending() or time.monotonic() > until:
                return result
