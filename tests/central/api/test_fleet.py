"""Nodes, rounds, packs and releases over HTTP."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from central.jobs import rounds
from central.store.models import AuditEntry, Camera, Pack, Round
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

    async def submit(
        self, function: str, args: Any, listener: Any = None, secrets: Any = None, ticket: Any = None
    ) -> str:
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
    assert jobs.args["options"] == rounds.settings_of(world.centre.settings)
    assert jobs.args["options"]["gate_worst_camera"] == 0.05
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


def watched(world: World) -> rounds.Rounds:
    """Return what a centre goes on with rounds by."""
    centre = world.centre
    return rounds.Rounds(centre.database, centre.jobs, centre.notifier, centre.settings.data, world.fleet.register)


async def test_rounds__one_that_was_killed_with_the_centre_goes_on(world: World, jobs: FakeJobs) -> None:
    async with world.centre.database.write() as session:
        session.add(Round(id="r0001", state="training", options={"epochs": 3}))
    assert await watched(world).resume({"pack": "base"}) == "r0001"
    assert jobs.args["round_id"] == "r0001"
    assert jobs.args["options"] == {"pack": "base", "epochs": 3}
    await jobs.listener("end", {"state": "done", "result": {"labels": 7}})
    async with world.client("viewer") as client:
        view = (await client.get("/rounds/r0001")).json()
    assert (view["state"], view["starts"], view["labels"]) == ("done", 2, 7)


async def test_rounds__one_that_ends_everything_is_given_up(world: World, jobs: FakeJobs) -> None:
    async with world.centre.database.write() as session:
        session.add(Round(id="r0001", state="training", starts=rounds.MAX_STARTS))
    assert await watched(world).resume({}) is None
    async with world.client("viewer") as client:
        view = (await client.get("/rounds/r0001")).json()
    assert (view["state"], jobs.args) == ("failed", None)
    assert "it was ended 3 times" in view["detail"]


async def test_rounds__one_that_another_process_works_on_stays_with_it(
    world: World, jobs: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "idle", lambda folder: False)
    async with world.centre.database.write() as session:
        session.add(Round(id="r0001", state="training"))
    assert await watched(world).resume({}) is None
    assert jobs.args is None


async def test_round__whose_process_is_killed_goes_on(world: World, jobs: FakeJobs) -> None:
    async with world.client("engineer") as client:
        await client.post("/rounds", json={"epochs": 2})
        jobs.args = None
        await jobs.listener("end", {"state": "failed", "detail": "its process ended with status -9", "killed": True})
        view = (await client.get("/rounds/r0001")).json()
    assert jobs.args["options"]["epochs"] == 2
    assert (view["starts"], view["finished"]) == (2, None)


async def test_round__gates_and_verdict_are_told(world: World, jobs: FakeJobs) -> None:
    gate = {"gate": "size", "outcome": "fail", "value": 40.0, "limit": 32.0, "unit": "megabytes", "reason": "40 MB"}
    async with world.client("engineer") as client:
        await client.post("/rounds", json={})
        done = {"offered": False, "verdict": "not offered: size", "gates": [gate]}
        await jobs.listener("end", {"state": "done", "result": done})
        view = (await client.get("/rounds/r0001")).json()
    assert (view["offered"], view["verdict"], view["gates"]) == (False, "not offered: size", [gate])


async def test_round_report__one_page_that_may_do_nothing(world: World) -> None:
    async with world.centre.database.write() as session:
        session.add(Round(id="r0001", state="done"))
    folder = world.centre.settings.data / "rounds" / "r0001"
    folder.mkdir(parents=True)
    (folder / "report.html").write_bytes(b"<html><style>b{color:red}</style></html>")
    async with world.client("viewer") as client:
        answer = await client.get("/rounds/r0001/report")
        missing = await client.get("/rounds/r0002/report")
    policy = answer.headers["content-security-policy"]
    digest = base64.b64encode(hashlib.sha256(b"b{color:red}").digest()).decode()
    assert answer.headers["content-type"].startswith("text/html")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "script-src" not in policy and "unsafe" not in policy
    assert missing.status_code == 404


async def test_round_report__needs_a_login_and_a_report(world: World) -> None:
    async with world.centre.database.write() as session:
        session.add(Round(id="r0001", state="failed"))
    async with world.client() as nobody, world.client("viewer") as viewer:
        assert (await nobody.get("/rounds/r0001/report")).status_code == 401
        assert (await viewer.get("/rounds/r0001/report")).status_code == 404


async def hold(world: World, address: str) -> None:
    async with world.centre.database.write() as session:
        await session.execute(update(Pack).where(Pack.address == address).values(held="not offered: worst camera"))


@pytest.mark.parametrize(("path", "body"), [("/releases", {}), ("/rollouts", {"plan": {}})])
async def test_release__a_held_pack_needs_an_override(world: World, path: str, body: dict[str, Any]) -> None:
    await world.add_frame()
    address = await add_pack(world)
    await hold(world, address)
    async with world.client("engineer") as client:
        refused = await client.post(path, json={"pack": address, **body})
        let = await client.post(f"/packs/{address}/override", json={"reason": "one camera is gone anyway"})
        made = await client.post(path, json={"pack": address, **body})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "held")
    assert "not offered: worst camera" in refused.json()["error"]["message"]
    assert (let.status_code, made.status_code) == (200, 201)
    assert let.json()["overridden"] == "engineer: one camera is gone anyway"


async def test_override__is_in_the_audit_log_and_needs_an_engineer(world: World) -> None:
    address = await add_pack(world)
    body = {"reason": "it must run"}
    async with world.client("engineer") as client:
        nothing = await client.post(f"/packs/{address}/override", json=body)
        await hold(world, address)
        await client.post(f"/packs/{address}/override", json=body)
    async with world.client("annotator") as client:
        assert (await client.post(f"/packs/{address}/override", json=body)).status_code == 403
    assert nothing.status_code == 409
    async with world.centre.database.read() as session:
        entries = list(await session.scalars(select(AuditEntry).where(AuditEntry.target.contains("it must run"))))
    assert [(e.by, e.action) for e in entries] == [("engineer", "override")]


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
