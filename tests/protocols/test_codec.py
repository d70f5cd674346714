"""The codec is the single gate: whatever the bytes, a message or a CodecError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import codec
from protocols.messages import Command, Receipt
from protocols.topics import CHANNELS

VECTORS = {
    c: (Path(__file__).parent.parent / "vectors" / f"{c}.{s.encoding}").read_bytes() for c, s in CHANNELS.items()
}
channels = st.sampled_from(sorted(CHANNELS))


def must_survive(channel: str, payload: bytes) -> None:
    try:
        codec.decode(channel, payload)
    except codec.CodecError as error:
        assert str(error)


@settings(max_examples=500, deadline=None)
@given(channels, st.binary(max_size=2000))
def test_decode__arbitrary_bytes(channel: str, payload: bytes) -> None:
    must_survive(channel, payload)


@settings(max_examples=500, deadline=None)
@given(channels, st.data())
def test_decode__mutated_messages(channel: str, data: st.DataObject) -> None:
    payload = bytearray(VECTORS[channel])
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    must_survive(channel, bytes(payload)[: data.draw(st.integers(0, len(payload)))])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(channels, values)
def test_decode__well_formed_documents_of_another_shape(channel: str, value: Any) -> None:
    must_survive(channel, json.dumps(value).encode())


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    "payload", [b"[" * 100_000, b"\x91" * 100_000, b'{"a":' * 50_000, b"\xdf\xff\xff\xff\xff", b""]
)
def test_decode__bombs(channel: str, payload: bytes) -> None:
    with pytest.raises(codec.CodecError):
        codec.decode(channel, payload[: codec.LIMITS[channel]])


@pytest.mark.parametrize("channel", CHANNELS)
def test_decode__refuses_what_is_too_large_before_parsing(channel: str) -> None:
    with pytest.raises(codec.CodecError, match="more than"):
        codec.decode(channel, b" " * (codec.LIMITS[channel] + 1))


def test_decode__unknown_channel() -> None:
    with pytest.raises(codec.CodecError, match="does not exist"):
        codec.decode("gossip", b"{}")


def test_decode__unknown_fields_are_ignored() -> None:
    assert codec.decode("command", b'{"id":"1","action":"pause","colour":"red"}') == Command(id="1", action="pause")


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        ("command", {"id": "1", "action": "explode"}),
        ("policy", {"version": 1, "audit_share": 1.5}),
        ("policy", {"version": -1}),
        ("status", {"state": "online", "node": "a/b", "boot": "x"}),
        ("status", {"state": "online", "node": "+", "boot": "x"}),
        ("status", {"state": "online", "node": "a\n", "boot": "x"}),
        ("release", {"number": 0, "pack": "ab" * 32, "size": 1, "time": "2026-01-01T00:00:00Z"}),
        ("release", {"number": 1, "pack": "ab" * 32 + "\n", "size": 1, "time": "2026-01-01T00:00:00Z"}),
        ("release", {"number": 1, "pack": "../../etc", "size": 1, "time": "2026-01-01T00:00:00Z"}),
    ],
)
def test_decode__out_of_range(channel: str, payload: dict[str, Any]) -> None:
    with pytest.raises(codec.CodecError, match=channel):
        codec.decode(channel, json.dumps(payload).encode())


@pytest.mark.parametrize(
    "name", ["packs/../secret", "/etc/passwd", "packs/a/b", "packs/", "PACKS/a", "packs/" + "a" * 129]
)
def test_decode__a_fetch_names_no_path(name: str) -> None:
    payload = msgspec.msgpack.encode({"request": "1", "name": name, "offset": 0, "length": 1})
    with pytest.raises(codec.CodecError):
        codec.decode("fetch", payload)


def test_encode__refuses_a_message_of_another_channel() -> None:
    with pytest.raises(codec.CodecError, match="carries Command"):
        codec.encode("command", Receipt(ids=[]))
