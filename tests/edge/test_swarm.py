"""The swarm's MQTT is MQTT, and its account of frames is honest."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from paho.mqtt.client import Client as Paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.commands.swarm import jpeg_of, read_passwords
from edge.link import LinkError, Will
from edge.swarm import mqtt, run
from edge.swarm.mqtt import Login, Server
from edge.swarm.node import Place, Traffic
from edge.swarm.run import Plan
from edge.yamlfile import ConfigError
from protocols import codec, topics
from protocols.messages import FrameMessage, Receipt

PREFIX = "wayside/v1"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_152])
def test_packets__come_back_however_they_are_cut(size: int) -> None:
    body = b"x" * size
    stream = mqtt.packet(0x32, body) + mqtt.packet(0xD0)
    for cut in {1, 2, 3, 5, len(stream) - 1, len(stream)}:
        buffer, found = bytearray(), []
        for piece in (stream[:cut], stream[cut:]):
            buffer += piece
            found += list(mqtt.packets(buffer))
        assert found == [(0x32, body), (0xD0, b"")]


@pytest.mark.parametrize("stream", [b"\x30\xff\xff\xff\xff\x7f", b"\x30\xff\xff\xff\x7f"])
def test_packets__a_length_that_cannot_be_is_refused(stream: bytes) -> None:
    with pytest.raises(LinkError):
        list(mqtt.packets(bytearray(stream)))


def test_connect_packet__is_what_paho_sends() -> None:
    sent: list[bytes] = []
    paho = Paho(CallbackAPIVersion.VERSION2, "me")
    paho.username_pw_set("user", "password")
    paho.will_set("a/b", b"gone", qos=1, retain=True)
    paho._packet_queue = lambda _c, data, *_: sent.append(bytes(data))  # type: ignore[assignment,method-assign]
    paho._send_connect(60)
    assert mqtt.connect_packet(Login("me", "user", "password"), Will("a/b", b"gone")) == sent[0]


class Broker:
    """As much of a broker as a swarm needs, and of a centre behind it: it gives receipts, but for every nth frame."""

    def __init__(self, lose: int = 0) -> None:
        self.lose, self.seen, self.channels, self.wills, self.open = lose, list[str](), set[str](), 0, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer, clean = bytearray(), False
        self.open += 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                buffer += data
                for first, body in mqtt.packets(buffer):
                    clean = clean or first == 0xE0
                    self.take(first, body, writer)
        self.wills += not clean
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.open -= 1

    def take(self, first: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if first == 0x10:
            writer.write(b"\x20\x02\x00\x00")
        elif first == 0x82:
            writer.write(mqtt.packet(0x90, body[:2], b"\x01" * body.count(PREFIX.encode())))
        elif first >> 4 == mqtt.PUBLISH:
            end = 2 + int.from_bytes(body[:2], "big")
            writer.write(b"\x40\x02" + body[end : end + 2])
            address = topics.parse(PREFIX, body[2:end].decode())
            self.channels.add(address.channel)
            message = codec.decode(address.channel, body[end + 2 :])
            if isinstance(message, FrameMessage):
                self.frame(message, writer)

    def frame(self, message: FrameMessage, writer: asyncio.StreamWriter) -> None:
        self.seen.append(message.id)
        if self.lose and message.sequence % self.lose == self.lose - 1:
            return
        topic = topics.build(PREFIX, message.node, "receipts").encode()
        payload = codec.encode("receipts", Receipt(ids=[message.id]))
        writer.write(mqtt.packet(0x30, len(topic).to_bytes(2, "big"), topic, payload))


async def swarmed(broker: Broker, plan: Plan) -> dict[str, Any]:
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    place = Place.of(Server("127.0.0.1", port), PREFIX, jpeg_of(2000))
    figures = await run.swarm(plan, place, lambda name: Login(name), lambda _: None)
    server.close()
    async with asyncio.timeout(20):
        while broker.open:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return figures


async def test_swarm__accounts_for_every_frame() -> None:
    broker = Broker()
    figures = await swarmed(broker, Plan(3, Traffic(5, 200.0, health_s=0.05, counts_s=0.05), drain_s=10))
    assert figures["ok"]
    assert (figures["frames"], figures["receipted"], figures["missing"], figures["connects"]) == (15, 15, 0, 3)
    assert len(set(broker.seen)) == 15
    assert broker.channels >= {"status", "frames"}
    assert broker.wills == 0


async def test_swarm__a_frame_without_receipt_is_missing() -> None:
    figures = await swarmed(Broker(lose=5), Plan(2, Traffic(5, 200.0), drain_s=1.0))
    assert not figures["ok"]
    assert (figures["receipted"], figures["missing"]) == (8, 2)


async def test_swarm__dropouts_come_back_and_lose_nothing() -> None:
    broker, often = Broker(), 3600.0 * 5
    traffic = Traffic(30, 60.0, dropouts_per_hour=often, away_s=0.02)
    figures = await swarmed(broker, Plan(2, traffic, drain_s=20, seed=3))
    assert figures["ok"]
    assert figures["dropouts"] >= 1
    assert broker.wills >= 1


async def test_swarm__as_fast_as_receipts_come() -> None:
    figures = await swarmed(Broker(), Plan(1, Traffic(0, 0.0), seconds=0.5, drain_s=5))
    assert figures["ok"]
    assert figures["receipted"] > 50


@pytest.mark.parametrize(
    ("text", "says"), [("[]", "not a JSON object"), ("{", "not a JSON object"), (None, "No such file")]
)
def test_read_passwords__says_what_is_wrong(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "users.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(says)):
        read_passwords(path)


@pytest.mark.parametrize("size", [0, 5000, 60_000, 200_000])
def test_jpeg_of__is_a_jpeg_of_that_size(size: int) -> None:
    data = jpeg_of(size)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (64, 64, 3)
    assert size <= len(data) <= size + 12_000
