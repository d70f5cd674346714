"""Home Assistant finds the nodes by MQTT discovery, and its templates read what nodes publish."""

from __future__ import annotations

import asyncio
import json
import queue
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import pytest_asyncio
from paho.mqtt.enums import CallbackAPIVersion

from central import homeassistant
from central import service as service_module
from central.enrol.authority import open_authority
from central.homeassistant import Announcer
from central.service import Service
from central.store import database
from central.store.migrations import migrate
from central.store.models import Camera, Node
from protocols.messages import CameraInfo

P = "wayside/v1"
VECTORS = Path(__file__).parents[2] / "vectors"
ALLOWED = r"wayside_[A-Za-z0-9_-]+"


def said(*cameras: str, node: str = "gate-1") -> tuple[str, dict[str, Any]]:
    topic, payload = homeassistant.device(P, node, "north", "0.1.0", cameras)
    return topic, json.loads(payload)


def render(template: str, value: Any, before: str = "unknown") -> str:
    """Render as Home Assistant does."""
    jinja = pytest.importorskip("jinja2")
    return str(jinja.Environment().from_string(template).render(value_json=value, this={"state": before})).strip()


def test_device__says_what_discovery_requires() -> None:
    topic, held = said("gate", "yard")
    assert topic == "homeassistant/device/wayside_gate-1/config"
    assert held["device"]["identifiers"] == ["wayside_gate-1"]
    assert held["origin"]["name"] == "wayside"
    assert held["availability"][0]["topic"] == f"{P}/gate-1/status"
    components = held["components"]
    assert {c["platform"] for c in components.values()} == {"sensor", "binary_sensor"}
    assert [c["unique_id"] for c in components.values()] == list(components)
    assert {c["state_topic"] for c in components.values()} == {
        f"{P}/gate-1/health", f"{P}/gate-1/events/gate", f"{P}/gate-1/events/yard",
    }  # fmt: skip


@pytest.mark.parametrize(("one", "other"), [("a.b", "a_b"), ("a.b.c", "a_b.c"), ("a", "b")])
def test_object_id__fits_a_topic_and_is_never_shared(one: str, other: str) -> None:
    ids = [homeassistant.object_id(name) for name in (one, other)]
    assert ids[0] != ids[1]
    assert all(set(i) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for i in ids)


@pytest.mark.parametrize(
    ("value", "expected"), [({"state": "online"}, "online"), ({"state": "stopped"}, "offline"), ({}, "offline")]
)
def test_availability__is_online_only_while_online(value: Any, expected: str) -> None:
    assert render(said()[1]["availability"][0]["value_template"], value) == expected


@pytest.mark.parametrize(
    ("key", "value", "before", "expected"),
    [
        ("objects", {"kind": "counts", "counts": {"car": 3, "person": 1}}, "9", "4"),
        ("objects", {"kind": "counts"}, "9", "0"),
        ("objects", {"kind": "alert", "alert": "dark", "raised": True}, "9", "9"),
        ("alert", {"kind": "alert", "alert": "dark", "raised": True}, "OFF", "ON"),
        ("alert", {"kind": "alert", "alert": "dark"}, "ON", "OFF"),
        ("alert", {"kind": "counts", "counts": {"car": 1}}, "ON", "ON"),
    ],
)
def test_camera__templates_keep_apart_what_shares_a_topic(key: str, value: Any, before: str, expected: str) -> None:
    component = said("gate")[1]["components"][f"wayside_gate-1_gate_{key}"]
    assert render(component["value_template"], value, before) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("temperature", None, "48.5"), ("waiting", None, "3"), ("sent", None, "12"), ("waiting", {}, "0"),
     ("temperature", {}, "None")],
)  # fmt: skip
def test_health__templates_read_the_golden_vector(key: str, value: Any, expected: str) -> None:
    given = json.loads((VECTORS / "health.json").read_text()) if value is None else value
    component = said()[1]["components"][f"wayside_gate-1_{key}"]
    assert render(component["value_template"], given) == expected


async def test_announcer__tells_what_is_new_or_changed(tmp_path: Path) -> None:
    db = database.connect(database.sqlite_url(tmp_path / "central.db"))
    await migrate(db.engine)
    async with db.write() as session:
        session.add(Node(name="n1", cameras=[Camera(name="gate")]))
    told: list[str] = []
    good = True

    def publish(topic: str, payload: bytes) -> bool:
        told.append(payload.decode())
        return good

    announcer = Announcer(db, P, publish)
    good = False
    await announcer.announce()
    good = True
    await announcer.announce()
    await announcer.announce()
    assert len(told) == 2, "again where it could not be handed over, and then not again"
    async with db.write() as session:
        session.add(Camera(node="n1", name="yard"))
    await announcer.announce()
    assert "yard" in told[-1]
    announcer.forget()
    await announcer.announce()
    assert len(told) == 4
    await db.close()


@pytest_asyncio.fixture
async def centre(embedded: None, tmp_path: Path, options: Any) -> AsyncIterator[Service]:
    """A centre that announces its nodes."""

    class Open(options):  # type: ignore[misc]
        broker_tls_port = 0
        homeassistant = True

    made = await service_module.start(Open(tmp_path / "central"))
    await made.link.wait_connected(20)
    yield made
    await made.stop()


@pytest.mark.system
async def test_centre__announces_to_whoever_looks_on(centre: Service, join: Any, tmp_path: Path) -> None:
    node = await join("n1")
    node.birth(site="north", cameras=[CameraInfo(camera="gate", source="street:")])
    issued = open_authority(centre.data).issue_watcher(0)
    file = tmp_path / "watch.pem"
    file.write_text(issued.key + issued.certificate)
    got: queue.Queue[tuple[str, bytes]] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    context = ssl.create_default_context(cafile=str(centre.data / "authority" / "ca.pem"))
    context.load_cert_chain(file)
    client.tls_set_context(context)
    client.on_connect = lambda c, *_: c.subscribe([("homeassistant/device/+/config", 1), (f"{P}/+/status", 1)])
    client.on_message = lambda _c, _d, m: got.put((m.topic, bytes(m.payload)))
    assert centre.broker.tls is not None
    await asyncio.to_thread(client.connect, "localhost", centre.broker.tls.port)
    client.loop_start()
    assert centre.announcer is not None
    seen: dict[str, Any] = {}
    async with asyncio.timeout(30):
        while len(seen) < 2:
            await centre.announcer.announce()
            while not got.empty():
                topic, payload = got.get_nowait()
                seen[topic] = json.loads(payload)
            await asyncio.sleep(0.1)
    client.disconnect()
    client.loop_stop()
    assert seen[f"{P}/n1/status"]["state"] == "online"
    assert "wayside_n1_gate_objects" in seen["homeassistant/device/wayside_n1/config"]["components"]
