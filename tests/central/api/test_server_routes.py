"""The list of servers."""

from __future__ import annotations

import asyncio
from typing import Any

from central.releases.shelf import report_key
from central.servers.duties import Duties
from central.servers.members import Identity, Members
from central.store.models import Round

World = Any


async def idle() -> None:
    await asyncio.Event().wait()


async def test_servers__none_where_there_is_only_one(world: World) -> None:
    async with world.client("viewer") as client:
        answer = await client.get("/servers")
    assert answer.json() == {"several": False, "items": [], "free": []}


async def test_servers__who_is_there_and_who_does_what(world: World) -> None:
    clock = [0.0]
    desks = []
    for name in ("one", "two"):
        who = Identity(f"{name:0>32}", f"{1:0>32}", name)
        made = Duties(world.centre.database, Members(who, monotonic=lambda: clock[0]), monotonic=lambda: clock[0])
        made.add("sweep", idle)
        await made.tick()
        desks.append(made)
    world.centre.duties = desks[1]
    async with world.client("viewer") as client:
        first = (await client.get("/servers")).json()
        clock[0] += 11
        desks[1].need("sweep", lambda: False)
        await desks[1].tick()
        second = (await client.get("/servers")).json()
    items = [(s["name"], s["state"], s["asked"], [d["name"] for d in s["duties"]]) for s in first["items"]]
    assert items == [("one", "serving", False, ["sweep"]), ("two", "serving", True, [])]
    assert first["several"]
    assert [s["state"] for s in second["items"]] == ["gone", "serving"]
    for desk in desks:
        desk._stop()


async def test_report__of_a_round_that_ran_at_another_server(world: World) -> None:
    async with world.centre.database.write() as session:
        session.add(Round(id="r0001", by="ann"))
    async with world.client("viewer") as client:
        assert (await client.get("/rounds/r0001/report")).status_code == 404
        await world.centre.blobs.put([(report_key("r0001"), b"<html><style></style></html>")])
        answer = await client.get("/rounds/r0001/report")
    assert (answer.status_code, answer.content) == (200, b"<html><style></style></html>")


async def test_ready__not_while_it_ends(world: World) -> None:
    async with world.client() as client:
        assert (await client.get("/ready")).status_code == 200
        world.centre.draining = True
        answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["checks"]["server"]) == (503, "it ends; ask another one")
