"""A real NATS server as the broker: what docs/brokers.md says of it, tried."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from central import nats
from central import service as service_module
from central.link import BrokerAddress
from protocols.topics import DEFAULT_PREFIX
from tests.central.ingest.conftest import Options, SimNode, frame_message
from tests.servers.nats import Nats
from tests.servers.postgres import MissingError

pytestmark = pytest.mark.timeout(120)
LOGINS = {"@centre": "c-secret", "gate-1": "one", "gate-2": "two"}


@pytest.fixture(scope="module")
def broker() -> Iterator[Nats]:
    """A server with the access rules that are generated."""
    try:
        made = Nats.start(nats.authorization(DEFAULT_PREFIX, LOGINS))
    except MissingError as error:
        pytest.skip(str(error))
    yield made
    made.close()


class Client:
    """Connects and keeps what it is told."""

    def __init__(self, broker: Nats, name: str, protocol: Any = mqtt.MQTTv311) -> None:
        self.told: queue.Queue[str] = queue.Queue()
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, f"{name}-t", protocol=protocol, reconnect_on_failure=False)
        self.paho.username_pw_set(name, LOGINS[name])
        self.paho.on_connect = lambda _c, _d, _f, reason, _p: self.told.put(str(reason))
        self.paho.on_subscribe = lambda _c, _d, _m, codes, _p: self.told.put(
            "refused" if any(code.is_failure for code in codes) else "granted"
        )
        self.paho.on_message = lambda _c, _d, message: self.told.put(message.topic)
        self.paho.connect("127.0.0.1", broker.port)
        self.paho.loop_start()

    def subscribe(self, topic: str) -> str:
        """Return whether the broker granted it."""
        self.paho.subscribe(topic, 1)
        return self.told.get(timeout=10)

    def close(self) -> None:
        """Go."""
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def client(broker: Nats) -> Iterator[Any]:
    """Makes clients that are logged in."""
    made: list[Client] = []

    def make(name: str, protocol: Any = mqtt.MQTTv311) -> Client:
        made.append(Client(broker, name, protocol))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_nats__refuses_mqtt_5(client: Any) -> None:
    assert client("@centre", mqtt.MQTTv5).told.get(timeout=10) == "Unsupported protocol version"


@pytest.mark.parametrize(
    ("name", "topic", "said"),
    [
        ("gate-1", "wayside/v1/gate-1/receipts", "granted"),
        ("gate-1", "wayside/v1/gate-2/receipts", "refused"),
        ("gate-1", "wayside/v1/+/frames", "refused"),
        ("gate-1", "#", "refused"),
        ("@centre", "wayside/v1/+/frames", "granted"),
        ("@centre", "wayside/v1/+/events/+", "granted"),
        ("@centre", "$share/wayside-ingest/wayside/v1/+/frames", "refused"),
    ],
)
def test_nats__grants_each_its_own_and_shares_nothing(client: Any, name: str, topic: str, said: str) -> None:
    one = client(name)
    assert one.told.get(timeout=10) == "Success"
    assert one.subscribe(topic) == said


def test_nats__what_a_node_says_for_another_arrives_nowhere(client: Any) -> None:
    centre, node = client("@centre"), client("gate-1")
    for each in (centre, node):
        assert each.told.get(timeout=10) == "Success"
    assert centre.subscribe("wayside/v1/+/health") == "granted"
    node.paho.publish("wayside/v1/gate-2/health", b"{}", 1).wait_for_publish(10)
    node.paho.publish("wayside/v1/gate-1/health", b"{}", 1).wait_for_publish(10)
    assert centre.told.get(timeout=10) == "wayside/v1/gate-1/health"


async def test_nats__carries_frames_to_a_centre_and_receipts_back(broker: Nats, tmp_path: Path) -> None:
    url = f"mqtt://%40centre:{LOGINS['@centre']}@127.0.0.1:{broker.port}"
    centre = await service_module.start(Options(tmp_path / "central", broker_url=url))
    try:
        await centre.link.wait_connected(30)
        address = BrokerAddress("127.0.0.1", broker.port, "gate-2", LOGINS["gate-2"])
        node = await asyncio.to_thread(SimNode, "gate-2", address)
        node.birth()
        made = [frame_message("gate-2", number) for number in range(20)]
        for each in made:
            node.send("frames", each)
        got = await asyncio.to_thread(node.receipts, len(made))
        assert sorted(got) == sorted(m.id for m in made)
        node.close()
    finally:
        await centre.stop()
