"""Nodes as devices of Home Assistant, announced by MQTT discovery: one retained message per node.

    homeassistant/device/wayside_<node>/config    {"device", "origin", "availability", "components": {...}}

By https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload: `device` and `origin` are required, each
component needs `platform` and `unique_id`, and availability is shared. The states themselves are what nodes publish
anyhow (`status`, `health`, `events/{camera}`, all JSON); the templates read them, knowing that a field that has its
default value is left out. Home Assistant logs in with a watcher's certificate: it reads, and cannot publish.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from central.embedded import DISCOVERY
from central.store.database import Database
from central.store.models import Node
from edge import __version__
from protocols import topics

LOOK_S: Final = 30.0
"""Between looks for new nodes and cameras."""
SILENT_S: Final = 120
"""Without a health message for this long, its values count as unknown; four of them, and some."""
_ONLINE: Final = "{{ 'online' if value_json.state == 'online' else 'offline' }}"
_COUNTS: Final = "(value_json.counts | default({}))"


def object_id(node: str) -> str:
    """Return `node` as Home Assistant allows it in a topic: letters, digits, ``_`` and ``-``; two nodes never share
    one."""
    plain = node.replace(".", "_")
    return f"wayside_{plain}" if plain == node else f"wayside_{plain}_{hashlib.sha256(node.encode()).hexdigest()[:6]}"


def _component(platform: str, unique: str, name: str, topic: str, template: str, **more: Any) -> dict[str, Any]:
    found = {"platform": platform, "unique_id": unique, "name": name, "state_topic": topic, "value_template": template}
    return {**found, **more}


def _camera(prefix: str, node: str, camera: str) -> dict[str, dict[str, Any]]:
    identity, events = f"{object_id(node)}_{camera}", topics.build(prefix, node, "events", camera)
    kept = "{% if value_json.kind == '%s' %}%s{% else %}{{ this.state }}{% endif %}"
    counts = kept.replace("%s", "counts", 1).replace("%s", f"{{{{ {_COUNTS}.values() | sum }}}}")
    alert = kept.replace("%s", "alert", 1).replace("%s", "{{ 'ON' if value_json.raised | default(false) else 'OFF' }}")
    seen = f"{identity}_objects"
    return {
        seen: _component(
            "sensor", seen, f"{camera} objects", events, counts, state_class="measurement",
            json_attributes_topic=events, json_attributes_template=f"{{{{ {_COUNTS} | tojson }}}}",
        ),
        f"{identity}_alert": _component(
            "binary_sensor", f"{identity}_alert", f"{camera} alert", events, alert, device_class="problem"
        ),
    }  # fmt: skip


def device(prefix: str, node: str, site: str, version: str, cameras: Sequence[str]) -> tuple[str, bytes]:
    """Return topic and payload that announce `node` with its `cameras`."""
    identity, health = object_id(node), topics.build(prefix, node, "health")
    status = topics.build(prefix, node, "status")
    values = {
        "temperature": ("Temperature", "{{ value_json.temperature_c | default(none) }}",
                        {"device_class": "temperature", "unit_of_measurement": "°C", "state_class": "measurement"}),
        "waiting": ("Frames waiting", "{{ value_json.spool_frames | default(0) }}", {"state_class": "measurement"}),
        "sent": ("Frames sent", "{{ value_json.sent | default(0) }}", {"state_class": "total_increasing"}),
    }  # fmt: skip
    components = {
        f"{identity}_{key}": _component(
            "sensor", f"{identity}_{key}", name, health, template, expire_after=SILENT_S, **more
        )
        for key, (name, template, more) in values.items()
    }
    for camera in cameras:
        components |= _camera(prefix, node, camera)
    said = {
        "device": {"identifiers": [identity], "name": node, "manufacturer": "Wayside", "model": "node",
                   "sw_version": version, "suggested_area": site},
        "origin": {"name": "wayside", "sw_version": __version__},
        "availability": [{"topic": status, "value_template": _ONLINE}],
        "qos": 1,
        "components": components,
    }  # fmt: skip
    return f"{DISCOVERY}/device/{identity}/config", json.dumps(said, ensure_ascii=False).encode()


class Announcer:
    """Announces every node that the store knows, and again where something changed. `publish` takes a topic and a
    payload to retain, and returns whether it could be handed over."""

    def __init__(self, database: Database, prefix: str, publish: Callable[[str, bytes], bool]) -> None:
        self._database, self._prefix, self._publish = database, prefix, publish
        self._said: dict[str, bytes] = {}

    def forget(self) -> None:
        """Announce everything anew, because the broker may have lost what it retained."""
        self._said.clear()

    async def announce(self) -> None:
        """Announce what is new or changed."""
        async with self._database.read() as session:
            nodes = list(await session.scalars(select(Node).options(selectinload(Node.cameras))))
        for node in nodes:
            names = [camera.name for camera in node.cameras]
            topic, payload = device(self._prefix, node.name, node.site, node.version, names)
            if self._said.get(topic) != payload and self._publish(topic, payload):
                self._said[topic] = payload

    async def run(self) -> None:
        """Keep announcing until cancelled."""
        while True:
            await self.announce()
            await asyncio.sleep(LOOK_S)
