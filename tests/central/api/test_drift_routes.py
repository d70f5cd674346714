"""Drift over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from central.store.models import CameraBoost, DriftLook
from protocols.messages import utc_now

World = Any
ENERGY = {"value": 0.4, "usual": 0.1, "p": 0.0001, "before": None, "after": None}


async def filled(world: World) -> None:
    """Three looks at one camera, the last two of them of drift, and one at another."""
    await world.add_frame()
    now = utc_now()
    async with world.centre.database.write() as session:
        for hours, camera, verdict in (
            (30, "c1", "steady"),
            (20, "c1", "drift"),
            (10, "c1", "drift"),
            (9, "c0", "steady"),
        ):
            found = {"embedding": ENERGY} if verdict == "drift" else {}
            at = now - timedelta(hours=hours)
            session.add(DriftLook(node="n1", camera=camera, at=at, verdict=verdict, reason=verdict, measures=found))
        session.add(CameraBoost(node="n1", camera="c1", factor=2.0, until=now + timedelta(hours=1), reason="drift"))


async def test_drift__history_and_standing(world: World) -> None:
    await filled(world)
    async with world.client("viewer") as client:
        found = (await client.get("/drift")).json()
    assert [row["verdict"] for row in found["items"]] == ["steady", "drift", "drift", "steady"]
    assert found["items"][1]["measures"][0]["name"] == "embedding"
    assert found["items"][1]["strength"] == pytest.approx(4.0)
    first, second = found["cameras"]
    assert (first["camera"], first["verdict"], first["since"]) == ("c1", "drift", found["items"][1]["at"])
    assert first["boost"]["factor"] == 2.0 and second["boost"] is None


@pytest.mark.parametrize(
    ("query", "status", "count"),
    [
        ({"camera": "c0"}, 200, 1),
        ({"node": "other"}, 200, 0),
        ({"from": "HOURS-15"}, 200, 2),
        ({"to": "HOURS-15"}, 200, 2),
        ({"from": "2026-01-01T00:00:00"}, 422, None),
        ({"to": "0001-01-02T00:00:00Z"}, 200, 0),
        ({"to": "0001-01-01T00:00:00+14:00"}, 422, None),
        ({"node": "a/b"}, 422, None),
    ],
)
async def test_drift__asked_for_a_part(world: World, query: dict[str, str], status: int, count: int | None) -> None:
    await filled(world)
    ago = (utc_now() - timedelta(hours=15)).isoformat()
    params = {key: ago if value == "HOURS-15" else value for key, value in query.items()}
    async with world.client("viewer") as client:
        answer = await client.get("/drift", params=params)
    assert answer.status_code == status
    assert count is None or len(answer.json()["items"]) == count
