"""Rollouts by HTTP: plan, decide, look; who may, and who was faster."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from central.releases.rollout.advance import Engine
from central.store.models import Node, Pack, Snapshot
from tests.central.api.conftest import World

pytestmark = pytest.mark.asyncio
A, B = "a" * 64, "b" * 64


class Teller:
    """Tells nobody."""

    async def tell(self, names: Any) -> None:
        pass


async def prepare(world: World, nodes: int = 3) -> None:
    async with world.centre.database.write() as session:
        session.add_all([Pack(address=a, name=a[:3], size_bytes=10, labels=["car"], parent=None) for a in (A, B)])
        session.add_all([Node(name=f"n{i}", site="north", state="online", pack=A) for i in range(nodes)])


def engine(world: World) -> Engine:
    return Engine(world.centre.database, Teller(), lambda _: None, world.centre.notifier, lambda: True, lambda: 0.0)


async def planned(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/rollouts", json={"pack": B, **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_plan__is_shown_whole(world: World) -> None:
    await prepare(world)
    async with world.client("engineer") as client:
        made = await planned(client, plan={"waves": [1], "order": "name", "seed": 5}, notes="careful")
        shown = await client.get(f"/rollouts/{made['id']}")
        listed = (await client.get("/rollouts")).json()
    assert shown.headers["etag"] == '"1"'
    view = shown.json()
    assert (view["state"], view["nodes"], view["waves"], view["actions"]) == ("planned", 3, 2, ["start", "abort"])
    assert [w["nodes"] for w in view["all_waves"]] == [1, 2]
    assert {n["node"]: n["wave"] for n in view["all_nodes"]} == {"n0": 0, "n1": 1, "n2": 1}
    assert [(e["by"], e["kind"], e["reason"]) for e in view["history"]] == [("engineer", "planned", "careful")]
    assert [(r["id"], r["name"], r["stages"]) for r in listed] == [(made["id"], "bbb", {"waiting": 3})]


async def test_start__then_the_wave_is_offered_it(world: World) -> None:
    await prepare(world)
    async with world.client("engineer") as client:
        made = await planned(client, plan={"waves": [1], "order": "name"}, start=True)
        await engine(world).tick()
        view = (await client.get(f"/rollouts/{made['id']}")).json()
        effect = (await client.get(f"/rollouts/{made['id']}/effect?wave=0")).json()
        releases = (await client.get("/releases")).json()
    assert (view["state"], view["release"], view["stages"]) == ("running", 1, {"offered": 1, "waiting": 2})
    gates = {g["gate"]: g["outcome"] for g in view["all_waves"][0]["gates"]}
    assert gates["install"] == "not_enough"
    assert len(gates) == 8
    assert [n["node"] for n in effect["nodes"]] == ["n0"]
    assert [(r["rollout"], [n["node"] for n in r["nodes"]]) for r in releases] == [(made["id"], ["n0"])]


@pytest.mark.parametrize("header", [True, False])
async def test_decisions__the_second_of_two_is_told_what_the_first_did(world: World, header: bool) -> None:
    await prepare(world)
    async with world.client("engineer") as client:
        made = await planned(client, start=True)
        headers = {"If-Match": f'"{made["revision"]}"'} if header else {}
        body = {} if header else {"revision": made["revision"]}
        first = await client.post(f"/rollouts/{made['id']}/pause", json={"reason": "lunch", **body}, headers=headers)
        second = await client.post(f"/rollouts/{made['id']}/abort", json=body, headers=headers)
    assert (first.status_code, first.json()["state"], first.json()["reason"]) == (200, "paused", "lunch")
    error = second.json()["error"]
    assert (second.status_code, error["code"], error["detail"]["state"]) == (409, "conflict", "paused")


async def test_decisions__need_a_revision_and_a_state_that_allows_them(world: World) -> None:
    await prepare(world)
    async with world.client("admin") as client:
        made = await planned(client)
        path = f"/rollouts/{made['id']}"
        answers = [
            await client.post(f"{path}/start", json={}),
            await client.post(f"{path}/pause", json={"revision": 1}),
            await client.post(f"{path}/abort", json={"revision": 1, "gates": {"install": {}}}),
            await client.post("/rollouts/99/start", json={"revision": 1}),
        ]
    assert [(a.status_code, a.json()["error"]["code"]) for a in answers] == [
        (428, "revision_required"), (409, "wrong_state"), (422, "invalid"), (404, "not_found"),
    ]  # fmt: skip


async def test_release__waits_until_the_rollout_is_over(world: World) -> None:
    await prepare(world)
    async with world.client("engineer") as client:
        made = await planned(client, start=True)
        refused = await client.post("/releases", json={"pack": A})
        again = await client.post("/rollouts", json={"pack": A, "start": True})
    assert (refused.status_code, refused.json()["error"]["detail"]) == (409, {"rollout": made["id"]})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "busy")


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"wavs": []}, "unknown field `wavs`"),
        ({"gates": {"luck": {}}}, "no gate 'luck'; there are accuracy"),
        ({"waves": [5, 3]}, "must grow"),
        ({"groups": [{"name": "a", "sites": ["moon"]}]}, "no node is in any"),
    ],
)
async def test_plan__bad_ones_are_refused_in_words(world: World, plan: Any, says: str) -> None:
    await prepare(world)
    async with world.client("engineer") as client:
        for path, body in (("/rollouts", {"pack": B, "plan": plan}), ("/rollouts/preview", {"plan": plan})):
            answer = await client.post(path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_plan")
            assert says in answer.json()["error"]["message"]


async def test_preview__shows_who_would_be_in_which_wave(world: World) -> None:
    await prepare(world, 4)
    async with world.client("engineer") as client:
        plan = {"groups": [{"name": "canary", "nodes": ["n3"]}], "rest": True, "waves": ["50%"], "order": "name"}
        waves = (await client.post("/rollouts/preview", json={"plan": plan})).json()
    assert [(w["group"], w["nodes"], w["total"]) for w in waves] == [
        ("canary", ["n3"], 1), ("rest", ["n0"], 2), ("rest", ["n1", "n2"], 4),
    ]  # fmt: skip


@pytest.mark.parametrize("role", ["viewer", "annotator"])
async def test_roles__others_may_look_but_not_decide(world: World, role: str) -> None:
    await prepare(world)
    async with world.client("engineer") as client:
        made = await planned(client)
    async with world.client(role) as client:
        assert (await client.get(f"/rollouts/{made['id']}")).status_code == 200
        for path, body in (
            ("/rollouts", {"pack": B}), ("/rollouts/preview", {}), (f"/rollouts/{made['id']}/start", {"revision": 1}),
            (f"/rollouts/{made['id']}/rollback", {"revision": 1}),
        ):  # fmt: skip
            assert (await client.post(path, json=body)).status_code == 403
    async with world.client() as client:
        assert (await client.get("/rollouts")).status_code == 401


async def test_diff__classes_data_figures_and_bytes(world: World) -> None:
    def items(**revisions: int) -> list[dict[str, Any]]:
        return [{"frame": frame, "revision": revision, "split": "train"} for frame, revision in revisions.items()]

    async with world.centre.database.write() as session:
        session.add_all(
            [
                Snapshot(address="1" * 64, frames=2, labels=4, items=items(f1=1, f2=1)),
                Snapshot(address="2" * 64, frames=3, labels=9, items=items(f2=2, f3=1, f4=1)),
                Pack(
                    address=A, name="old", size_bytes=7, labels=["car", "van"], metrics={"ap50": 0.5}, snapshot="1" * 64
                ),
                Pack(
                    address=B, name="new", size_bytes=9, labels=["bus", "car"], snapshot="2" * 64, parent=A,
                    metrics={"ap50": 0.75, "ap50/c1": 0.25, "ap50_before/c1": 0.5},
                ),
            ]
        )  # fmt: skip
    async with world.client("viewer") as client:
        diff = (await client.get(f"/packs/{A}/diff?to={B}")).json()
        missing = await client.get(f"/packs/{A}/diff?to={'c' * 64}")
    assert diff["classes"] == {"added": ["bus"], "removed": ["van"], "kept": ["car"]}
    assert {k: v for k, v in diff["data"].items() if k.startswith("frames")} == {
        "frames_before": 2, "frames_after": 3, "frames_added": 2, "frames_removed": 1, "frames_relabelled": 1,
    }  # fmt: skip
    assert diff["metrics"] == [{"name": "ap50", "before": 0.5, "after": 0.75}]
    assert [(c["camera"], c["ap50_before"], c["ap50_after"]) for c in diff["per_camera"]] == [("c1", 0.5, 0.25)]
    assert diff["bytes"] == {"full": 9, "delta": None}
    assert missing.status_code == 404
