"""Nodes, rounds, packs and releases over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from central.jobs import rounds
from central.store.models import Camera, Pack, Round
from protocols import pack as packs
from protocols.messages import Reply, utc_now

World = Any
JPEG = b"\xff\xd8\xff\xe0 live \xff\xd9"


def reply(ok: bool = True, image: bytes = b"", detail: str = "") -> Reply:
    return Reply(id="x", node="n1", ok=ok, detail=detail, time=utc_now(), image=image)


async def test_thumbnail__live_once_for_many(world: World) -> None:
    await world.add_frame()
    world.fleet.replies["n1"] = reply(image=JPEG)
    async with world.client("viewer") as client:
        answers = [await client.get("/nodes/n1/cameras/c1/thumbnail") for _ in range(5)]
    assert {a.content for a in answers} == {JPEG}
    assert world.fleet.asked == [("n1", "snapshot", "c1")]


@pytest.mark.parametrize("image", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a"])
async def test_thumbnail__falls_back_to_the_last_frame(world: World, image: bytes) -> None:
    frame = await world.add_frame()
    world.fleet.replies["n1"] = reply(image=image)
    async with world.centre.database.write() as session:
        await session.execute(update(Camera).values(last_frame_id=frame))
    async with world.client("viewer") as client:
        answer = await client.get("/nodes/n1/cameras/c1/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert b"a small picture" in answer.content


@pytest.mark.parametrize("path", ["/nodes/n1/cameras/c9/thumbnail", "/nodes/n9/cameras/c1/thumbnail"])
async def test_thumbnail__no_such_camera(world: World, path: str) -> None:
    await world.add_frame()
    async with world.client("viewer") as client:
        assert (await client.get(path)).status_code == 404


async def test_command__answer(world: World) -> None:
    await world.add_frame()
    world.fleet.replies["n1"] = reply(ok=False, detail="no camera c7")
    async with world.client("engineer") as client:
        answer = await client.post("/nodes/n1/command", json={"action": "pause", "camera": "c7"})
    assert answer.json() == {"ok": False, "detail": "no camera c7"}


@pytest.mark.parametrize(
    ("node", "body", "status"),
    [
        ("n1", {"action": "pause"}, 503),
        ("n9", {"action": "pause"}, 404),
        ("n1", {"action": "format"}, 422),
        ("n1", {"action": "pause", "camera": "a/+"}, 422),
        ("a+b", {"action": "pause"}, 422),
    ],
)
async def test_command__refused(world: World, node: str, body: dict[str, str], status: int) -> None:
    await world.add_frame()
    async with world.client("engineer") as client:
        assert (await client.post(f"/nodes/{node}/command", json=body)).status_code == status


class FakeJobs:
    """Keeps the listener, so that a test is the job."""

    def __init__(self) -> None:
        self.listener: Any = None
        self.args: Any = None

    async def submit(self, function: str, args: Any, listener: Any = None, secrets: Any = None) -> str:
        self.args, self.listener = args, listener
        return "j1"

    async def cancel(self, job: str) -> bool:
        return False


@pytest.fixture
def jobs(world: World) -> FakeJobs:
    """Jobs that run nowhere."""
    fake = FakeJobs()
    object.__setattr__(world.centre, "jobs", fake)
    return fake


async def test_round__one_at_a_time_and_followed(world: World, jobs: FakeJobs) -> None:
    async with world.client("engineer") as client:
        first = await client.post("/rounds", json={"epochs": 3})
        second = await client.post("/rounds", json={})
        await jobs.listener("report", {"state": "training", "progress": 0.4, "detail": "epoch 2", "eta_s": 9.0, "x": 1})
        running = (await client.get("/rounds/r0001")).json()
        await jobs.listener("end", {"state": "done", "result": {"ap_after": 0.5, "labels": 7}})
        done = (await client.get("/rounds")).json()
        third = await client.post("/rounds", json={})
    assert (first.status_code, second.status_code, third.status_code) == (201, 409, 201)
    assert second.json()["error"]["detail"] == {"round": "r0001"}
    assert jobs.args["round_id"] == "r0002" and jobs.args["data"] == str(world.centre.settings.data)
    step = world.centre.settings.update_step
    assert jobs.args["options"] == {"profile": "street", "pack": "base", "update_step": step}
    assert (running["state"], running["progress"], running["eta_s"]) == ("training", 0.4, 9.0)
    assert (done[0]["state"], done[0]["ap_after"], done[0]["labels"], done[0]["eta_s"]) == ("done", 0.5, 7, None)


async def test_round__failure_says_why(world: World, jobs: FakeJobs) -> None:
    async with world.client("engineer") as client:
        await client.post("/rounds", json={})
        await jobs.listener("end", {"state": "failed", "detail": "nothing to learn from"})
        view = (await client.get("/rounds/r0001")).json()
        late = await client.post("/rounds/r0001/cancel")
    assert (view["state"], view["detail"]) == ("failed", "nothing to learn from")
    assert view["finished"] is not None
    assert late.status_code == 409


async def test_round__pack_that_is_not_there(world: World, jobs: FakeJobs) -> None:
    async with world.client("engineer") as client:
        await client.post("/rounds", json={})
        await jobs.listener("end", {"state": "done", "result": {"pack": "0" * 64}})
        view = (await client.get("/rounds/r0001")).json()
    assert view["state"] == "failed"
    assert "cannot be registered" in view["detail"]


async def test_rounds__recovered(world: World) -> None:
    async with world.centre.database.write() as session:
        session.add(Round(id="r0001", state="training"))
    await rounds.recover(world.centre.database, "the centre stopped")
    async with world.client("viewer") as client:
        assert (await client.get("/rounds/r0001")).json()["state"] == "failed"


async def add_pack(world: World) -> str:
    manifest = packs.Manifest(name="first", labels=["car"], input=packs.Input(height=32, width=32))
    made = packs.create(world.centre.settings.packs / "part", manifest, {"model.onnx": b"x"})
    made.folder.rename(world.centre.settings.packs / made.address)
    async with world.centre.database.write() as session:
        session.add(
            Pack(address=made.address, name="first", size_bytes=10, labels=["car"], created="2026-01-01T00:00:00Z")
        )
    return made.address


async def test_release__made_and_listed(world: World) -> None:
    await world.add_frame()
    address = await add_pack(world)
    async with world.client("engineer") as client:
        made = await client.post("/releases", json={"pack": address, "notes": "try it"})
        listed = (await client.get("/releases")).json()
        shown = (await client.get("/packs")).json()
    assert made.status_code == 201
    assert (made.json()["number"], made.json()["by"], made.json()["notes"]) == (1, "engineer", "try it")
    assert listed[0]["nodes"][0]["node"] == "n1"
    assert (shown[0]["address"], shown[0]["labels"]) == (address, ["car"])


async def test_release__damaged_pack(world: World) -> None:
    address = await add_pack(world)
    Path(world.centre.settings.packs / address / "model.onnx").write_bytes(b"y")
    with capture_logs() as logs:
        async with world.client("engineer") as client:
            answer = await client.post("/releases", json={"pack": address})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "bad_pack"
    assert str(world.centre.settings.data) not in answer.text, "no path of the server is told"
    assert address[:12] in answer.json()["error"]["message"]
    assert "model.onnx" in logs[0]["reason"]
    assert world.fleet.released == []


@pytest.mark.parametrize(("pack", "status"), [("0" * 64, 404), ("../../etc", 422), ("", 422)])
async def test_release__no_such_pack(world: World, pack: str, status: int) -> None:
    async with world.client("engineer") as client:
        assert (await client.post("/releases", json={"pack": pack})).status_code == status
