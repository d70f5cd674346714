"""What nodes say about themselves, into the tables. Everything here may come twice, late, or never."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.store import trend
from central.store.models import Camera, CameraScores, Node, NodeEvent, NodeState
from protocols.messages import CameraInfo, Event, Health, Status

STEP_S: Final = 2.0
"""By how much the clocks may differ from one look to the next; time servers turn a clock more slowly than that."""


async def fetch(session: AsyncSession, nodes: Collection[str], now: datetime) -> list[object]:
    """Return all rows of `nodes` that a batch of their messages may touch. As long as the answer is held, the session
    knows them, and each message finds its own without asking the database: that is nine tenths of its cost.

    The nodes' rows are locked, in order, as `central.ingest.frames` does before it touches one or its cameras: of two
    who change several nodes at a time, one waits, and neither waits for the other."""
    rows: list[object] = []
    for query in (
        select(Node).where(Node.name.in_(nodes)).order_by(Node.name).with_for_update(key_share=True),
        select(Camera).where(Camera.node.in_(nodes)),
        select(CameraScores).where(CameraScores.node.in_(nodes), CameraScores.at == trend.slot_of(now)),
    ):
        rows += await session.scalars(query)
    return rows


async def known_node(session: AsyncSession, name: str, now: datetime) -> Node:
    """Return the row of node `name`, made where it is the first time that anything comes from it; seen at `now`."""
    node = await session.get(Node, name)
    if node is None:
        node = Node(name=name, since=now, first_seen=now, cameras=[])
        session.add(node)
        await session.flush()
    node.last_seen = now
    return node


async def _known_camera(session: AsyncSession, node: str, name: str) -> Camera:
    camera = await session.get(Camera, (node, name))
    if camera is None:
        camera = Camera(node=node, name=name)
        session.add(camera)
    return camera


def _change(session: AsyncSession, node: Node, state: NodeState, now: datetime, detail: str = "") -> None:
    if node.state == state:
        return
    node.state, node.since = state, now
    session.add(NodeEvent(node=node.name, at=now, kind="status", detail=detail or state))


async def _describe(session: AsyncSession, node: str, info: CameraInfo) -> None:
    camera = await _known_camera(session, node, info.camera)
    camera.source = info.source
    camera.width, camera.height = info.width or camera.width, info.height or camera.height
    camera.tags = list(info.tags)
    camera.latitude, camera.longitude = info.latitude, info.longitude


async def apply_status(session: AsyncSession, status: Status, now: datetime) -> Node:
    """Note the presence of a node and return its row.

    The last will of an earlier run may arrive after the birth of the next one, so `offline` counts only for the run
    (`boot`) that the node is known to be in.
    """
    node = await known_node(session, status.node, now)
    if status.state == "offline" and node.boot not in ("", status.boot):
        return node
    _change(session, node, status.state, now)
    node.boot = status.boot
    if status.state == "online":
        node.site, node.version, node.backend = status.site, status.version, status.backend
        node.pack, node.release = status.pack, status.release
    for info in status.cameras:
        await _describe(session, node.name, info)
    return node


async def apply_health(session: AsyncSession, health: Health, now: datetime) -> None:
    """Note how a node fares. Whoever reports is online, whatever a late last will said."""
    with session.no_autoflush:  # or each message would write what the one before it changed
        await _apply_health(session, health, now)


async def _apply_health(session: AsyncSession, health: Health, now: datetime) -> None:
    node = await known_node(session, health.node, now)
    _change(session, node, "online", now, "online: it reports again")
    node.boot, node.uptime_s, node.temperature_c = health.boot, health.uptime_s, health.temperature_c
    node.pack = health.pack or node.pack
    node.spool_frames, node.spool_bytes = health.spool_frames, health.spool_bytes
    node.spool_quota_bytes, node.evicted = health.spool_quota_bytes, health.evicted
    node.sent, node.sent_bytes = health.sent, health.sent_bytes
    node.crashes, node.health_at = health.crashes, now
    for each in health.cameras:
        camera = await _known_camera(session, node.name, each.camera)
        camera.health = {name: getattr(each, name) for name in each.__struct_fields__ if name != "camera"}
        camera.health_at = now
        await trend.note(session, camera, each.blur, each.uncertainty, now)


async def apply_event(session: AsyncSession, event: Event, now: datetime) -> None:
    """Keep alerts, and show at once those that stand: the next health message may be half a minute away.

    Counts are for whoever listens to the broker; they are not kept."""
    await known_node(session, event.node, now)
    if event.kind == "alert":
        detail = f"{event.alert or 'alert'} {'raised' if event.raised else 'cleared'}"
        data = msgspec.to_builtins(event)
        session.add(NodeEvent(node=event.node, camera=event.camera, at=now, kind="alert", detail=detail, data=data))
        camera = await _known_camera(session, event.node, event.camera)
        others = [text for text in (camera.health or {}).get("alerts", []) if text != event.alert]
        camera.health = {**(camera.health or {}), "alerts": others + [event.alert] * event.raised}


class Steps:
    """Notices that the wall clock was set: that between two looks it did not move as the monotonic one did."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def look(self, now: datetime, monotonic: float) -> bool:
        """Return whether the clock, which says `now` at `monotonic` seconds, was set since the last look."""
        offset, before = now.timestamp() - monotonic, self._offset
        self._offset = offset
        return before is not None and abs(offset - before) > STEP_S


async def touch(session: AsyncSession, nodes: set[str], now: datetime) -> None:
    """Note that `nodes`, those of them that are known, were heard at `now`."""
    if nodes:
        await session.execute(update(Node).where(Node.name.in_(nodes)).values(last_seen=now))


async def forgive(session: AsyncSession, now: datetime) -> None:
    """Take every node that is online as heard at `now`: what was noted by a clock that was set since says nothing."""
    await session.execute(update(Node).where(Node.state == "online").values(last_seen=now))


async def silence(session: AsyncSession, after: timedelta, now: datetime) -> list[str]:
    """Mark as offline, and return, the nodes that claim to be online but said nothing for `after`.

    A broker tells of a death by the last will only when it notices it itself; the embedded one never does for a node
    that is frozen rather than gone.
    """
    query = select(Node).where(Node.state == "online", Node.last_seen < now - after)
    gone = list((await session.execute(query)).scalars())
    for node in gone:
        _change(session, node, "offline", now, f"offline: nothing heard for {after.total_seconds():.0f} s")
    return [node.name for node in gone]
