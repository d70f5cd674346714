"""How cameras went, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from central.store import timeline, trend
from central.store.models import Camera, NodeEvent

World = Any
START = datetime(2026, 1, 1, tzinfo=UTC)
PATH = "/nodes/n1/cameras/c1/timeline"


def between(hours: float, **more: object) -> dict[str, object]:
    return {"from": START.isoformat(), "to": (START + timedelta(hours=hours)).isoformat(), **more}


async def ask(world: World, params: dict[str, object], status: int = 200) -> Any:
    async with world.client("viewer") as client:
        answer = await client.get(PATH, params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


async def add(world: World, number: int, minutes: float, value: float = 0.5, **scores: float) -> str:
    at = START + timedelta(minutes=minutes)
    frame: str = await world.add_frame(number, value, captured_at=at, assessment=scores)
    return frame


async def happen(world: World, *events: tuple[float, str, str, str, bool]) -> None:
    """Add events: minutes after the start, kind, camera, text, whether it was raised."""
    async with world.centre.database.write() as session:
        for minutes, kind, camera, text, raised in events:
            data = {"alert": text, "raised": raised} if kind == "alert" else {}
            at = START + timedelta(minutes=minutes)
            session.add(NodeEvent(node="n1", camera=camera, at=at, kind=kind, detail=text, data=data))


async def test_timeline__points_have_the_mean_and_the_highest(world: World) -> None:
    await add(world, 1, 0, blur=0.2, novelty=0.1)
    await add(world, 2, 9.9, blur=0.6)
    await add(world, 3, 50, uncertainty=0.9)
    found = await ask(world, between(1, points=6))
    assert (found["step_s"], found["frames"]) == (600, 3)
    assert [(p["at"], p["frames"]) for p in found["points"]] == [
        ("2026-01-01T00:00:00Z", 2), ("2026-01-01T00:50:00Z", 1)
    ]  # fmt: skip
    assert found["points"][0]["mean"] == pytest.approx({"blur": 0.4, "novelty": 0.1})
    assert found["points"][0]["highest"] == {"blur": 0.6, "novelty": 0.1}
    assert found["points"][1]["mean"] == {"uncertainty": 0.9}


async def test_timeline__marks_the_most_valuable_of_each_point(world: World) -> None:
    await add(world, 1, 1, 0.3, blur=0.2)
    best = await add(world, 2, 2, 0.8, blur=0.1)
    other = await add(world, 3, 31, 0.1)
    found = await ask(world, between(1, points=2))
    assert [f["id"] for f in found["marked"]] == [best, other]
    assert found["marked"][0]["scores"] == {"blur": 0.1}
    assert found["marked"][0]["reason"] == "uncertain"


async def test_timeline__is_bounded_however_many_frames_there_are(world: World) -> None:
    for number in range(30):
        await add(world, number, 2 * number, blur=0.5)
    found = await ask(world, between(1, points=7))
    assert len(found["points"]) <= 7 and len(found["marked"]) <= 7
    assert sum(p["frames"] for p in found["points"]) == found["frames"] == 30


async def test_timeline__ends_before_what_is_after(world: World) -> None:
    await add(world, 1, -0.1)
    await add(world, 2, 0)
    await add(world, 3, 60)
    assert (await ask(world, between(1)))["frames"] == 1


async def test_timeline__spans_of_what_was_wrong(world: World) -> None:
    await add(world, 1, 0)
    await happen(
        world,
        (-60, "alert", "c1", "covered", True), (10, "alert", "c1", "covered", False),
        (20, "alert", "c2", "moved", True), (30, "status", "", "offline: nothing heard for 90 s", True),
        (40, "status", "", "online", True), (50, "alert", "c1", "dark", True), (-90, "alert", "c1", "old", True),
        (-80, "alert", "c1", "old", False),
    )  # fmt: skip
    found = await ask(world, between(1))
    assert [(s["kind"], s["text"], s["start"], s["end"]) for s in found["spans"]] == [
        ("alert", "covered", None, "2026-01-01T00:10:00Z"),
        ("away", "node offline", "2026-01-01T00:30:00Z", "2026-01-01T00:40:00Z"),
        ("alert", "dark", "2026-01-01T00:50:00Z", None),
    ]


async def test_timeline__tells_what_all_assessed_frames_had(world: World) -> None:
    await add(world, 1, 0)
    async with world.centre.database.write() as session:
        await trend.note(session, await session.get(Camera, ("n1", "c1")), 0.25, None, START + timedelta(minutes=25))
    found = await ask(world, between(1, points=3))
    assert found["blur"] == [None, 0.25, None]
    assert found["uncertainty"] == [None, None, None]


@pytest.mark.parametrize(
    "params",
    [
        {"from": "2026-01-01T00:00:00", "to": "2026-01-02T00:00:00Z"},
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"from": "2020-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"to": "0001-01-01T00:00:00Z"},
        {"to": "9999-12-31T23:59:59Z"},
        {"points": timeline.MAX_POINTS + 1},
    ],
    ids=["no-zone", "backwards", "too-long", "before-clocks", "after-all", "too-many"],
)
async def test_timeline__refused(world: World, params: dict[str, object]) -> None:
    await add(world, 1, 0)
    assert (await ask(world, params, 422))["error"]["message"]


@pytest.mark.parametrize("path", ["/nodes/n1/cameras/c9/timeline", "/nodes/n9/cameras/c1/timeline"])
async def test_timeline__no_such_camera(world: World, path: str) -> None:
    await world.add_frame()
    async with world.client("viewer") as client:
        assert (await client.get(path)).status_code == 404


async def test_timeline__is_not_sent_again_unchanged(world: World) -> None:
    await add(world, 1, 0)
    async with world.client("viewer") as client:
        first = await client.get(PATH, params=between(1))
        again = await client.get(PATH, params=between(1), headers={"If-None-Match": first.headers["etag"]})
        await add(world, 2, 3)
        changed = await client.get(PATH, params=between(1), headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, changed.status_code) == (200, 304, 200)


async def test_trends__a_line_per_camera(world: World) -> None:
    await world.add_frame()
    async with world.centre.database.write() as session:
        now = datetime.now(UTC)
        await trend.note(session, await session.get(Camera, ("n1", "c1")), 0.5, 0.75, now - timedelta(hours=2))
        await trend.note(session, await session.get(Camera, ("n1", "c1")), 0.25, None, now)
    async with world.client("viewer") as client:
        found = (await client.get("/trends")).json()
    assert [(c["node"], c["camera"], len(c["blur"])) for c in found["cameras"]] == [("n1", "c1", 24)]
    assert [v for v in found["cameras"][0]["blur"] if v is not None] == [0.5, 0.25]
    assert found["cameras"][0]["blur"][-1] == 0.25


async def test_overview__says_where_cameras_stand(world: World) -> None:
    await world.add_frame()
    async with world.centre.database.write() as session:
        camera = await session.get(Camera, ("n1", "c1"))
        camera.latitude, camera.longitude = 52.5, 13.25
    async with world.client("viewer") as client:
        camera = (await client.get("/overview")).json()["nodes"][0]["cameras"][0]
    assert (camera["latitude"], camera["longitude"]) == (52.5, 13.25)
