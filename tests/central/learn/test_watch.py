"""From stored frames to verdicts, alerts and larger shares, and to people."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import typer.testing
from sqlalchemy import select

from central.cli import app
from central.learn.drift import watch
from central.learn.drift.boost import FACTOR, expire, shares_of
from central.store.database import Database, connect, sqlite_url
from central.store.migrations import migrate
from central.store.models import Camera, CameraBoost, DriftLook, Frame, Node, NodeEvent
from protocols.messages import AUDIT_REASON, utc_now

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
LABELS = ("car", "person")
PACK = "a" * 64


async def fill(
    db: Database, begin: datetime, days: int, shift: float = 0.0, camera: str = "c1", per_hour: int = 3,
    reason: str = AUDIT_REASON, pack: str = PACK,
) -> None:  # fmt: skip
    """Store `days` of frames of a camera, whose embeddings lie around `shift`."""
    random = np.random.default_rng(abs(hash((begin, camera))) % 2**32)
    async with db.write() as session:
        if await session.get(Node, "n1") is None:
            session.add(Node(name="n1"))
            await session.flush()
            session.add_all([Camera(node="n1", name=name) for name in ("c1", "c2", "c3")])
            await session.flush()
        last = None
        for i in range(days * 24 * per_hour):
            at = begin + timedelta(hours=i / per_hour)
            number = f"{int(at.timestamp()):08x}{int(camera[-1]):04x}{0 if reason == AUDIT_REASON else 1:x}"
            name = f"{number[:8]}-{number[8:12]}-7000-8000-{number[12]:>012}"
            point = random.normal(shift, 1.0, 8).astype("<f4").tobytes()
            session.add(
                Frame(
                    id=name, node="n1", camera=camera, boot="b", sequence=int(number, 16), captured_at=at, pack=pack,
                    width=8, height=8, size_bytes=1, sha256=number.zfill(64), blob=number, embedding=point,
                    assessment={"blur": float(random.random())}, detections=[{"label": "car", "score": 0.5}],
                    selection={"reason": reason, "probability": 0.5, "audit": 0.01},
                )
            )  # fmt: skip
            last = (name, at)
        row = await session.get_one(Camera, ("n1", camera))
        if last is not None:
            row.last_frame_id, row.last_frame_at = last


async def look(db: Database, now: datetime, boost_h: float = 24.0) -> dict[str, DriftLook]:
    return {row.camera: row for row in await watch.look(db, LABELS, now, 6.0, boost_h)}


async def test_look__a_camera_that_changed_and_one_that_did_not(db: Database) -> None:
    for camera, shift in (("c1", 1.0), ("c2", 0.0)):
        await fill(db, BEGIN, 5, camera=camera)
        await fill(db, BEGIN + timedelta(days=5), 1, shift, camera)
    now = BEGIN + timedelta(days=6)
    found = await look(db, now)
    assert {name: row.verdict for name, row in found.items()} == {"c1": "drift", "c2": "steady"}
    row = found["c1"]
    assert (row.basis, row.reference, row.reference_from) == ("audit", "first", BEGIN)
    assert row.reference_to == BEGIN + timedelta(days=5)
    assert row.reason.startswith("changed: how the frames look") and row.p is not None and row.p < 1e-3
    async with db.read() as session:
        events = [(e.camera, e.kind, e.data["raised"]) for e in await session.scalars(select(NodeEvent))]
        shares = await shares_of(session, now, None)
    assert events == [("c1", "alert", True)]
    assert shares == {"n1": {"c1": 1 + 0.75 * (FACTOR - 1) / (FACTOR - 1) * 2, "c2": 0.25, "c3": 0.25}}


async def test_look__told_once_and_told_when_it_is_over(db: Database) -> None:
    await fill(db, BEGIN, 5)
    await fill(db, BEGIN + timedelta(days=5), 1, 1.0)
    first = BEGIN + timedelta(days=6)
    await look(db, first)
    await look(db, first + timedelta(minutes=1))
    await fill(db, first, 2)
    await look(db, first + timedelta(days=2))
    async with db.read() as session:
        events = [e.detail for e in await session.scalars(select(NodeEvent).order_by(NodeEvent.id))]
        boosts = list(await session.scalars(select(CameraBoost)))
    assert [text.partition(":")[2][:8] for text in events] == [" changed", " over"]
    assert [b.since for b in boosts] == [first]
    async with db.write() as session:
        assert not await expire(session, first + timedelta(hours=23))
        assert await expire(session, first + timedelta(hours=24))


@pytest.mark.parametrize(
    ("days", "pack", "verdict", "reason"),
    [
        (5, "b" * 64, "not_enough", "learning what is usual here: the pack is new to this camera"),
        (2, PACK, "not_enough", "learning what is usual here: 2 of 3 days"),
    ],
)
async def test_look__packs_are_not_compared_with_each_other(
    db: Database, days: int, pack: str, verdict: str, reason: str
) -> None:
    await fill(db, BEGIN, days)
    await fill(db, BEGIN + timedelta(days=days), 1, 5.0, pack=pack)
    found = await look(db, BEGIN + timedelta(days=days + 1))
    assert (found["c1"].verdict, found["c1"].reason) == (verdict, reason)


async def test_look__chosen_frames_where_the_audit_is_too_small(db: Database) -> None:
    await fill(db, BEGIN, 6, per_hour=1)
    await fill(db, BEGIN, 6, per_hour=2, reason="the model is unsure")
    found = await look(db, BEGIN + timedelta(days=6))
    assert (found["c1"].basis, found["c1"].frames_now) == ("all", 72)


async def test_look__silent_cameras_are_left_out(db: Database) -> None:
    await fill(db, BEGIN, 1)
    assert await look(db, BEGIN + timedelta(days=3)) == {}


def test_drift__shown_drawn_and_told_by_status(tmp_path: Path) -> None:
    async def made() -> None:
        db = connect(sqlite_url(tmp_path / "central.db"))
        await migrate(db.engine)
        now = utc_now()
        measures = {"blur": {"value": 0.5, "usual": 0.2, "p": 1e-5, "before": 0.1, "after": 0.2}}
        async with db.write() as session:
            session.add(Node(name="n1"))
            await session.flush()
            for hours, verdict in ((20, "steady"), (2, "drift")):
                at = now - timedelta(hours=hours)
                row = DriftLook(node="n1", camera="c1", at=at, verdict=verdict, reason="blurred", measures=measures)
                session.add(row)
        await db.close()

    asyncio.run(made())
    runner, picture = typer.testing.CliRunner(), tmp_path / "drift.png"
    told = runner.invoke(app, ["drift", "--data", str(tmp_path), "--json", "--picture", str(picture)])
    assert told.exit_code == 1, told.output
    found = json.loads(told.stdout.splitlines()[-1])
    assert (found["drifting"], len(found["looks"])) == (["n1/c1"], 2)
    assert found["looks"][0]["strength"] == 2.5
    assert picture.read_bytes().startswith(b"\x89PNG")
    quiet = runner.invoke(app, ["drift", "--data", str(tmp_path), "--camera", "c9", "--look"])
    assert quiet.exit_code == 0 and quiet.stdout.startswith("no camera was looked at; the server looks")
    wrong = runner.invoke(app, ["drift", "--data", str(tmp_path), "--picture", str(tmp_path / "drift.xyz")])
    assert wrong.exit_code == 2 and "give a name that ends in .png or .svg" in wrong.output
