"""A centre with a real broker, database and folder, and nodes that a test drives by hand."""

from __future__ import annotations

import asyncio
import hashlib
import queue
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import paho.mqtt.client as mqtt
import pytest
import pytest_asyncio
from paho.mqtt.enums import CallbackAPIVersion

from central import broker as broker_module
from central import service as service_module
from central.link import BrokerAddress
from central.service import Service
from edge.sources import frame_id
from protocols import codec, topics
from protocols.messages import (
    AnyMessage,
    Assessment,
    Detection,
    FrameMessage,
    Message,
    Selection,
    Status,
    utc_now,
)

P = topics.DEFAULT_PREFIX


@dataclass
class Options:
    """Settings of a test's centre."""

    data: Path
    broker_port: int = 0
    broker_url: str | None = None
    database_url: str | None = None
    blob_url: str | None = None
    prefix: str = P


def jpeg(width: int = 64, height: int = 48, seed: int = 0) -> bytes:
    """Return a small JPEG of noise."""
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


def frame_message(node: str = "n1", sequence: int = 0, **changes: Any) -> FrameMessage:
    """Return a sound frame; its image differs by sequence."""
    image = changes.pop("image", None) or jpeg(seed=sequence)
    now = utc_now()
    made = FrameMessage(
        id=frame_id(now), node=node, boot="b1", sequence=sequence, camera="c1", time=now, width=64, height=48,
        assessment=Assessment(uncertainty=0.5, reasons={"uncertainty": "two classes compete"}),
        selection=Selection(keep=True, probability=0.25, reason="uncertain", policy="budget"),
        detections=[Detection(box=(1.0, 2.0, 30.0, 40.0), label="car", score=0.4)], embedding=[0.6, 0.8],
        sha256=hashlib.sha256(image).hexdigest(), image=image,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


class SimNode:
    """A node at the far end of a real connection."""

    def __init__(self, name: str, address: BrokerAddress) -> None:
        self.name, self.got = name, queue.Queue[tuple[str, AnyMessage]]()
        ready: queue.Queue[Any] = queue.Queue()
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        self.paho.username_pw_set(address.username, address.password)
        self.paho.on_subscribe = lambda *_: ready.put(True)
        self.paho.on_connect = lambda c, *_: c.subscribe([(f, 1) for f in topics.subscriptions(P, "node", name)])
        self.paho.on_message = self._keep
        self.paho.connect(address.host, address.port)
        self.paho.loop_start()
        ready.get(timeout=10)

    def _keep(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        channel = topics.parse(P, message.topic).channel
        self.got.put((channel, codec.decode(channel, bytes(message.payload))))

    def send(self, channel: str, message: Message | bytes, camera: str = "") -> None:
        """Publish a message, or bytes as they are."""
        payload = message if isinstance(message, bytes) else codec.encode(channel, message)
        retain = topics.CHANNELS[channel].retained
        self.paho.publish(topics.build(P, self.name, channel, camera), payload, qos=1, retain=retain)

    def birth(self, **changes: Any) -> None:
        """Say that the node is there."""
        self.send(
            "status", Status(**{"state": "online", "node": self.name, "boot": "b1", "time": utc_now(), **changes})
        )

    def receive(self, channel: str, timeout: float = 10) -> Any:
        """Wait for the next message on `channel`; others are passed over."""
        deadline = time.monotonic() + timeout
        while True:
            got, message = self.got.get(timeout=max(0.001, deadline - time.monotonic()))
            if got == channel:
                return message

    def receipts(self, count: int) -> list[str]:
        """Wait until `count` ids were receipted and return them."""
        ids: list[str] = []
        while len(ids) < count:
            ids += self.receive("receipts").ids
        return ids

    def close(self) -> None:
        """Go without ceremony."""
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Mosquitto on this machine."""
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)


@pytest_asyncio.fixture
async def centre(embedded: None, tmp_path: Path) -> AsyncIterator[Service]:
    """A running centre on the embedded broker."""
    made = await service_module.start(Options(tmp_path / "central"))
    await made.link.wait_connected(20)
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def join(centre: Service) -> AsyncIterator[Callable[[str], Any]]:
    """Makes nodes of that centre."""
    nodes: list[SimNode] = []

    async def make(name: str) -> SimNode:
        nodes.append(await asyncio.to_thread(SimNode, name, centre.broker.node(name)))
        return nodes[-1]

    yield make
    for node in nodes:
        await asyncio.to_thread(node.close)


@pytest.fixture
def sound() -> Callable[..., FrameMessage]:
    """Makes sound frames."""
    return frame_message


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """Makes JPEGs."""
    return jpeg


@pytest.fixture
def simulated() -> type[SimNode]:
    """The class of simulated nodes."""
    return SimNode


@pytest.fixture
def options() -> type[Options]:
    """The class of settings."""
    return Options
