"""What nodes say about themselves, late, twice and from an earlier life."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from central.ingest import presence
from central.store.database import Database
from central.store.models import Camera, Node, NodeEvent
from protocols.messages import Event, Health, Status, utc_now

pytestmark = pytest.mark.asyncio
NOW = utc_now()


def status(state: Any, boot: str = "b1") -> Status:
    return Status(state=state, node="n", boot=boot, site="north", pack="a" * 64 if state == "online" else None)


async def play(db: Database, *messages: Any) -> tuple[Node, list[str]]:
    """Apply `messages`, one a second, and return the node and the details of its events."""
    for i, message in enumerate(messages):
        async with db.write() as session:
            at = NOW + timedelta(seconds=i)
            if isinstance(message, Status):
                await presence.apply_status(session, message, at)
            elif isinstance(message, Health):
                await presence.apply_health(session, message, at)
            else:
                await presence.apply_event(session, message, at)
    async with db.read() as session:
        node = await session.get(Node, "n")
        events = [e.detail for e in await session.scalars(select(NodeEvent).order_by(NodeEvent.id))]
    assert node is not None
    return node, events


HEALTH = Health(node="n", boot="b1", time=NOW, uptime_s=1.0)


@pytest.mark.parametrize(
    ("messages", "state", "events"),
    [
        ([status("online")], "online", 1),
        ([status("online"), status("online")], "online", 1),
        ([status("online"), status("offline")], "offline", 2),
        ([status("online"), status("stopped")], "stopped", 2),
        ([status("online", "b2"), status("offline", "b1")], "online", 1),
        ([status("online"), status("offline"), HEALTH], "online", 3),
        ([HEALTH], "online", 1),
    ],
    ids=["birth", "twice", "death", "stop", "late-will", "alive-after-all", "health-first"],
)
async def test_status__state(db: Database, messages: Any, state: str, events: int) -> None:
    node, seen = await play(db, *messages)
    assert (node.state, len(seen)) == (state, events)


async def test_status__since_is_when_it_changed(db: Database) -> None:
    node, _ = await play(db, status("online"), status("online"))
    assert node.since == NOW
    assert node.last_seen == NOW + timedelta(seconds=1)


async def test_status__a_will_keeps_what_is_known(db: Database) -> None:
    node, _ = await play(db, status("online"), status("offline"))
    assert (node.site, node.pack) == ("north", "a" * 64)


async def test_event__alerts_are_kept_and_counts_are_not(db: Database) -> None:
    alert = Event(node="n", camera="c", time=NOW, kind="alert", alert="frozen", raised=True)
    _, events = await play(db, alert, Event(node="n", camera="c", time=NOW, kind="counts", counts={"car": 3}))
    assert events == ["frozen raised"]


async def test_event__standing_alerts_are_shown_at_once(db: Database) -> None:
    told = [("frozen", True), ("dark", True), ("dark", True), ("frozen", False)]
    events = [Event(node="n", camera="c", time=NOW, kind="alert", alert=a, raised=raised) for a, raised in told]
    await play(db, *events)
    async with db.read() as session:
        camera = await session.get(Camera, ("n", "c"))
    assert camera is not None and camera.health["alerts"] == ["dark"]


async def test_silence__marks_only_the_silent(db: Database) -> None:
    await play(db, status("online"))
    for seconds, gone in ((59, []), (61, ["n"]), (120, [])):
        async with db.write() as session:
            now = NOW + timedelta(seconds=seconds)
            assert await presence.silence(session, timedelta(seconds=60), now) == gone
