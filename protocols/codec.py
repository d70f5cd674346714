"""Bytes to messages and back, for bytes that anybody may have sent.

`decode` is the single gate: it checks the size before parsing, refuses what does not fit the struct with one
error type, and never raises anything else. `encode` is its inverse.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from protocols import messages as m
from protocols.topics import CHANNELS, Channel

KIB: Final = 1024
LIMITS: Final[dict[str, int]] = {
    "status": 256 * KIB,
    "health": 256 * KIB,
    "events": 64 * KIB,
    "frames": 16 * 1024 * KIB,
    "fetch": 4 * KIB,
    "update": 16 * KIB,
    "reply": 2048 * KIB,
    "receipts": 64 * KIB,
    "chunks": 5 * 1024 * KIB,
    "policy": 16 * KIB,
    "release": 16 * KIB,
    "command": 4 * KIB,
}
"""Largest payload per channel, bytes. A frame is a JPEG of at most 16 MiB; a chunk 4 MiB and its frame."""


class CodecError(ValueError):
    """A payload that is not a message of its channel. The text names the channel and the first thing wrong."""


@cache
def _decoder(channel: str) -> Any:
    spec = CHANNELS[channel]
    make = msgspec.json.Decoder if spec.encoding == "json" else msgspec.msgpack.Decoder
    return make(spec.message)


def _channel(name: str) -> Channel:
    try:
        return CHANNELS[name]
    except KeyError:
        raise CodecError(f"channel {name[:80]!r} does not exist") from None


def decode(channel: str, payload: bytes) -> m.AnyMessage:
    """Return the message that `payload` holds, or raise CodecError.

    Checks the size limit of the channel before parsing, then every type, range and length of the struct.
    """
    _channel(channel)
    if len(payload) > LIMITS[channel]:
        raise CodecError(f"{channel}: {len(payload)} bytes, more than the {LIMITS[channel]} allowed")
    try:
        message: m.AnyMessage = _decoder(channel).decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        raise CodecError(f"{channel}: {str(error)[:300]}") from None
    return message


def encode(channel: str, message: m.Message) -> bytes:
    """Return the wire form of `message`, or raise CodecError where it does not belong on `channel` or is too large."""
    spec = _channel(channel)
    if not isinstance(message, spec.message):
        raise CodecError(f"{channel}: carries {spec.message.__name__}, not {type(message).__name__}")
    payload = msgspec.json.encode(message) if spec.encoding == "json" else msgspec.msgpack.encode(message)
    if len(payload) > LIMITS[channel]:
        raise CodecError(f"{channel}: {len(payload)} bytes, more than the {LIMITS[channel]} allowed")
    return payload
