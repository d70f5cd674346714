"""The queue of jobs over the API: order, logs, stopping, trying again, and a backlog."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from central.jobs import rounds
from central.store.models import Job, Pack, Release, Round
from tests.central.api.conftest import World

COUNT = "central.jobs.probe:count"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ADDRESS = "a" * 64


async def add(world: World, *jobs: Job) -> None:
    async with world.centre.database.write() as session:
        session.add_all(jobs)


def job(ident: str, state: str = "queued", minutes: int = 0, **columns: object) -> Job:
    """A job that nobody begins: its server is another one."""
    values = {"function": COUNT, "server": "other", "created": NOON + timedelta(minutes=minutes)} | columns
    return Job(id=ident, state=state, **values)


async def test_jobs__in_the_order_in_which_they_begin(world: World) -> None:
    await add(
        world, job("late", minutes=2, kind="scoring"), job("early", minutes=1, kind="scoring"),
        job("person", minutes=3, kind="scoring", priority=10), job("now", "running", kind="round", progress=0.5),
        job("over", "done", finished=NOON, kind="other"), job("chore", "done", finished=NOON),
    )  # fmt: skip
    async with world.client("viewer") as client:
        found = (await client.get("/jobs")).json()
        everything = (await client.get("/jobs?chores=true")).json()
    assert [(v["id"], v["ahead"]) for v in found["queued"]] == [("person", 0), ("early", 1), ("late", 2)]
    assert [(v["id"], v["progress"]) for v in found["running"]] == [("now", 0.5)]
    assert [v["id"] for v in found["over"]] == ["over"]
    assert {v["id"] for v in everything["over"]} == {"over", "chore"}
    kinds = {v["kind"]: (v["running"], v["queued"], v["limit"]) for v in found["kinds"]}
    assert kinds["scoring"] == (0, 3, 1) and kinds["round"] == (1, 0, 1)


async def test_job__what_it_printed(world: World) -> None:
    await add(world, job("j", "failed", log="step 1\nno good\n"))
    async with world.client("engineer") as client:
        assert (await client.get("/jobs/j/log")).json() == {"id": "j", "text": "step 1\nno good\n"}
        assert (await client.get("/jobs/none/log")).status_code == 404


async def test_cancel__takes_it_out_of_the_queue_once(world: World) -> None:
    await add(world, job("j"))
    async with world.client("engineer") as client:
        first = await client.post("/jobs/j/cancel")
        again = await client.post("/jobs/j/cancel")
    assert (first.json()["state"], first.json()["detail"]) == ("cancelled", "cancelled before it began")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "over")


async def test_cancel__at_another_server_is_asked_for(world: World) -> None:
    await add(world, job("j", "running"))
    async with world.client("engineer") as client:
        found = (await client.post("/jobs/j/cancel")).json()
    assert (found["state"], found["stopping"]) == ("running", True)


async def test_retry__runs_again(world: World) -> None:
    await add(world, job("j", "failed", attempts=1, args={"steps": 1, "seconds": 0.0}, finished=NOON))
    async with world.client("engineer") as client:
        found = (await client.post("/jobs/j/retry")).json()
        running = await client.post("/jobs/j/retry")
    assert (found["state"], found["attempts"], found["finished"]) == ("running", 2, None)
    assert running.json()["error"]["code"] == "not_over"


@pytest.mark.parametrize(("state", "code"), [("failed", None), ("done", "not_over"), ("training", "busy")])
async def test_retry__a_round_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, state: str, code: str | None
) -> None:
    begun = []

    async def submit(self: object, round_id: str, options: object) -> None:
        begun.append(round_id)

    monkeypatch.setattr(rounds.Rounds, "_submit", submit)
    await add(world, job("j", "failed", function=rounds.FUNCTION, args={"round_id": "r0001"}))
    async with world.centre.database.write() as session:
        session.add(Round(id="r0001", state=state))
    async with world.client("engineer") as client:
        answer = await client.post("/jobs/j/retry")
    assert answer.json().get("error", {}).get("code") == code
    assert begun == ([] if code else ["r0001"])


async def released(world: World) -> None:
    async with world.centre.database.write() as session:
        session.add(Pack(address=ADDRESS, name="street-3", size_bytes=1))
        await session.flush()
        session.add(Release(number=1, pack=ADDRESS, by="admin", size_bytes=1))


async def test_backlog__with_the_released_pack_once_at_a_time(world: World) -> None:
    await released(world)
    await add(world, job("first", "running", kind="scoring"))  # so that it only waits
    async with world.client("engineer") as client:
        made = await client.post("/jobs/backlog", json={"limit": 5})
        again = await client.post("/jobs/backlog", json={})
    view = made.json()
    assert (made.status_code, view["state"], view["kind"], view["title"], view["by"]) == (
        201, "queued", "scoring", "Backlog looked at by street-3", "engineer",
    )  # fmt: skip
    assert (again.status_code, again.json()["error"]["detail"]) == (409, {"job": view["id"]})
    async with world.centre.database.read() as session:
        row = await session.get_one(Job, view["id"])
    assert row.args["limit"] == 5 and "database_url" not in row.args and "database_url" in row.needs


@pytest.mark.parametrize(("body", "status"), [({}, 409), ({"pack": "b" * 64}, 404), ({"pack": "../x"}, 422)])
async def test_backlog__without_a_pack(world: World, body: dict[str, str], status: int) -> None:
    async with world.client("engineer") as client:
        assert (await client.post("/jobs/backlog", json=body)).status_code == status
