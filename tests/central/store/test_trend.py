"""Scores of cameras, kept by slots and given back as lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from central.ingest import presence
from central.store import trend
from central.store.database import Database
from central.store.models import Camera, CameraScores, Node
from protocols.messages import CameraHealth, CameraInfo, Health, Status

pytestmark = pytest.mark.asyncio
NOW = datetime(2026, 5, 17, 8, 30, tzinfo=UTC)


async def tell(db: Database, at: datetime, blur: float | None, uncertainty: float | None = None) -> None:
    each = CameraHealth(camera="gate", state="watching", blur=blur, uncertainty=uncertainty)
    health = Health(node="n", boot="b", time=at, uptime_s=1.0, cameras=[each])
    async with db.write() as session:
        await presence.apply_health(session, health, at)


async def test_note__means_of_a_slot(db: Database) -> None:
    for seconds, blur in ((0, 0.2), (30, 0.4), (900, 0.9)):
        await tell(db, NOW + timedelta(seconds=seconds), blur, 0.5)
    found = await db.run_read(lambda s: trend.trends(s, NOW, NOW + timedelta(minutes=30), 3))
    assert [(t.node, t.camera) for t in found] == [("n", "gate")]
    assert found[0].blur == pytest.approx([0.3, 0.9, None])
    assert found[0].uncertainty == [0.5, 0.5, None]


async def test_note__nothing_said_is_no_row(db: Database) -> None:
    await tell(db, NOW, None)
    assert await db.run_read(lambda s: s.scalar(select(func.count()).select_from(CameraScores))) == 0


async def test_note__forgets_what_is_old(db: Database) -> None:
    await tell(db, NOW, 0.2)
    await tell(db, NOW + trend.KEPT + 2 * trend.SLOT, 0.3)
    assert await db.run_read(lambda s: s.scalar(select(func.count()).select_from(CameraScores))) == 1


async def test_trends__of_one_camera_alone(db: Database) -> None:
    await tell(db, NOW, 0.2)
    assert await db.run_read(lambda s: trend.trends(s, NOW, NOW + timedelta(hours=1), 6, ("n", "other"))) == []


async def test_status__says_where_a_camera_stands_and_takes_it_back(db: Database) -> None:
    for place in ((52.5, 13.4), (None, None)):
        info = CameraInfo(camera="gate", source="street:", latitude=place[0], longitude=place[1])
        async with db.write() as session:
            await presence.apply_status(session, Status(state="online", node="n", boot="b", cameras=[info]), NOW)
        async with db.read() as session:
            camera = await session.get(Camera, ("n", "gate"))
        assert camera is not None
        assert (camera.latitude, camera.longitude) == place


async def test_scores__go_with_their_camera(db: Database) -> None:
    await tell(db, NOW, 0.2)
    async with db.write() as session:
        await session.delete(await session.get(Node, "n"))
    assert await db.run_read(lambda s: s.scalar(select(func.count()).select_from(CameraScores))) == 0
