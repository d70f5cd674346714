"""Policies and field accuracy over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

World = Any


async def test_policy__set_for_one_node_and_for_all(world: World) -> None:
    await world.add_frame()
    async with world.client("engineer") as client:
        every = await client.put("/policies/all-nodes", json={"policy": "uniform", "bytes_per_day": 5_000_000})
        one = await client.put("/policies/n1", json={"policy": "missed", "frames_per_hour": 12})
        shown = (await client.get("/policies")).json()
    assert (every.status_code, one.status_code, world.fleet.told) == (200, 200, 2)
    assert [(p["node"], p["policy"], p["version"], p["bytes_per_day"]) for p in shown] == [
        ("all-nodes", "uniform", 1, 5_000_000), ("n1", "missed", 2, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "node", "body", "status"),
    [
        ("engineer", "n9", {}, 404),
        ("engineer", "n1", {"audit_share": 2}, 422),
        ("engineer", "n1", {"bytes_per_day": -1}, 422),
        ("engineer", "n1", {"nonsense": 1}, 422),
        ("viewer", "n1", {}, 403),
    ],
)
async def test_policy__refused(world: World, role: str, node: str, body: dict[str, Any], status: int) -> None:
    await world.add_frame()
    async with world.client(role) as client:
        assert (await client.put(f"/policies/{node}", json=body)).status_code == status
    assert world.fleet.told == 0


async def test_accuracy__one_row_per_camera_and_pack(world: World) -> None:
    await world.add_frame()
    async with world.client("viewer") as client:
        answer = await client.get("/accuracy")
        none = await client.get("/accuracy?node=other")
    assert answer.status_code == 200 and none.json() == []
    for row in answer.json():
        assert (row["node"], row["camera"], row["stored"], row["used"], row["found"]) == ("n1", "c1", 1, 0, None)
