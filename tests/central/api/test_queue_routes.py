"""Working together over HTTP: leases, drafts, flags, tags, outlines, second opinions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from central.api.access import open_session
from central.store.models import Lease, Session
from central.store.models.people import SiteRole
from protocols.messages import utc_now

World = Any
CAR = {"box": [10.0, 20.0, 60.0, 50.0], "label": "car"}
RING = [[10.0, 20.0], [60.0, 20.0], [35.0, 50.0]]


async def test_next__people_never_collide(world: World) -> None:
    low, high = await world.add_frame(1, 0.2), await world.add_frame(2, 0.9)
    async with world.client("annotator") as one, world.client("engineer") as other:
        first = (await one.post("/queue/next", json={})).json()["frame"]
        second = (await other.post("/queue/next", json={})).json()["frame"]
        third = (await other.post("/queue/next", json={"skip": [low]})).json()["frame"]
    assert [first["id"], second["id"], third] == [high, low, None]
    assert first["lease"]["by"] == "annotator"


async def test_lease__stops_others_and_ends_by_itself(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as one, world.client("engineer") as other:
        await one.post(f"/frames/{frame}/lease")
        taken = await other.post(f"/frames/{frame}/lease")
        label = await other.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": []})
        skip = await other.post(f"/frames/{frame}/skip", json={"revision": 0})
        async with world.centre.database.write() as session:
            await session.execute(update(Lease).values(until=utc_now() - timedelta(seconds=1)))
        later = await other.post(f"/frames/{frame}/lease")
    assert [x.status_code for x in (taken, label, skip)] == [409] * 3
    assert {x.json()["error"]["code"] for x in (taken, label, skip)} == {"leased"}
    assert taken.json()["error"]["detail"]["by"] == "annotator"
    assert later.json()["by"] == "engineer"


async def test_lease__given_up_and_ended_by_an_answer(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as one, world.client("engineer") as other:
        await one.post(f"/frames/{frame}/lease")
        await one.delete(f"/frames/{frame}/lease")
        taken = await other.post(f"/frames/{frame}/lease")
        await other.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": [CAR]})
        view = (await one.get(f"/frames/{frame}")).json()
    assert taken.status_code == 200
    assert view["lease"] is None


async def test_draft__own_and_gone_once_saved(world: World) -> None:
    frame = await world.add_frame()
    sheet = {"revision": 0, "boxes": [CAR | {"label": "no such label", "mask": [RING]}], "tags": {"x": "present"}}
    async with world.client("annotator") as one, world.client("engineer") as other:
        kept = await one.put(f"/frames/{frame}/draft", json=sheet)
        mine = (await one.get(f"/frames/{frame}")).json()["draft"]
        theirs = (await other.get(f"/frames/{frame}")).json()["draft"]
        await one.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": [CAR]})
        after = (await one.get(f"/frames/{frame}")).json()["draft"]
        await one.put(f"/frames/{frame}/draft", json=sheet)
        gone = await one.delete(f"/frames/{frame}/draft")
        last = (await one.get(f"/frames/{frame}")).json()["draft"]
    assert kept.status_code == 200
    assert mine["boxes"][0]["mask"] == [RING] and mine["tags"] == {"x": "present"}
    assert (theirs, after, gone.status_code, last) == (None, None, 204, None)


async def test_flag__shown_to_all_until_taken_off(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as one, world.client("viewer") as other:
        await one.post(f"/frames/{frame}/flag", json={"note": "two exposures"})
        seen = (await other.get(f"/frames/{frame}")).json()["flag"]
        after = (await one.delete(f"/frames/{frame}/flag")).json()["flag"]
    assert (seen["by"], seen["note"], after) == ("annotator", "two exposures", None)


async def test_cant_tell__told_in_the_history(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        view = (await client.post(f"/frames/{frame}/skip", json={"revision": 0, "reason": "cant_tell"})).json()
        history = (await client.get(f"/frames/{frame}/history")).json()["items"]
    assert view["state"] == "skipped"
    assert [h["state"] for h in history] == ["cant_tell"]


async def test_labels__tags_outline_and_origin(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        tag = (await client.get("/profile")).json()["tags"][0]["name"]
        proposal = (await client.get(f"/frames/{frame}")).json()["boxes"][0]
        box = {"box": [1, 2, 36, 40], "label": "car", "mask": [RING], "origin": proposal["id"]}
        body = {"revision": 0, "boxes": [box, CAR], "tags": {tag: "absent"}, "seconds": 3.5}
        view = (await client.put(f"/frames/{frame}/labels", json=body)).json()
        history = (await client.get(f"/frames/{frame}/history")).json()["items"]
    moved, drawn = view["boxes"]
    assert view["tags"] == {tag: "absent"} == history[0]["tags"]
    assert (moved["source"], moved["origin"], moved["moved"], moved["mask"]) == ("person", "node", True, [RING])
    assert (drawn["origin"], drawn["moved"]) == (None, None)
    assert history[0]["boxes"][0]["mask"] == [RING]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"tags": {"no such tag": "present"}}, "unknown_tag"),
        ({"tags": {"night": "maybe"}}, "invalid"),
        ({"seconds": -1}, "invalid"),
        ({"boxes": [CAR | {"mask": [RING[:2]]}]}, "bad_mask"),
        ({"boxes": [CAR | {"mask": [[RING[0]] * 5]}]}, "bad_mask"),
        ({"boxes": [CAR | {"mask": []}]}, "invalid"),
        ({"boxes": [CAR | {"mask": [[[700, 1], [2, 2], [3, 9]]]}]}, "bad_mask"),
        ({"boxes": [CAR | {"mask": [[[1e99, 1], [2, 2], [3, 9]]]}]}, "invalid"),
        ({"boxes": [CAR | {"mask": [RING] * 21}]}, "invalid"),
        ({"boxes": [CAR | {"mask": [RING * 200, RING * 200]}]}, "bad_mask"),
    ],
)
async def test_labels__refused(world: World, change: dict[str, Any], code: str) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        answer = await client.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": []} | change)
        after = (await client.get(f"/frames/{frame}")).json()
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert (after["revision"], after["state"]) == (0, "pending")


async def test_labels__sent_twice_is_once(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        body = {"revision": 0, "boxes": [CAR], "complete_for": ["car"], "tags": {}}
        one = await client.put(f"/frames/{frame}/labels", json=body)
        two = await client.put(f"/frames/{frame}/labels", json=body)
        history = (await client.get(f"/frames/{frame}/history")).json()["items"]
    assert (one.status_code, two.status_code, len(history)) == (200, 200, 1)
    assert one.json() == two.json()


async def test_previous__of_the_same_camera(world: World) -> None:
    first, last = await world.add_frame(1), await world.add_frame(3)
    await world.add_frame(2, camera="c2")
    async with world.client("annotator") as client:
        none = await client.get(f"/frames/{last}/previous")
        await client.put(f"/frames/{first}/labels", json={"revision": 0, "boxes": [CAR]})
        found = (await client.get(f"/frames/{last}/previous")).json()
    assert none.status_code == 404
    assert (found["id"], len(found["boxes"])) == (first, 1)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/queue/next", {}),
        ("POST", "/frames/{}/lease", None),
        ("DELETE", "/frames/{}/lease", None),
        ("PUT", "/frames/{}/draft", {"revision": 0, "boxes": []}),
        ("DELETE", "/frames/{}/draft", None),
        ("POST", "/frames/{}/flag", {"note": ""}),
        ("DELETE", "/frames/{}/flag", None),
    ],
)
async def test_writing__needs_an_annotator(world: World, method: str, path: str, body: Any) -> None:
    frame = await world.add_frame()
    async with world.client("viewer") as client:
        answer = await client.request(method, path.format(frame), json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize("path", ["lease", "flag", "draft", "previous"])
async def test_frame__missing(world: World, path: str) -> None:
    method = {"draft": "PUT", "previous": "GET"}.get(path, "POST")
    body = {"draft": {"revision": 0, "boxes": []}, "flag": {"note": ""}}.get(path)
    async with world.client("annotator") as client:
        answer = await client.request(method, f"/frames/nix/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_labels__expired_session_keeps_the_draft(world: World) -> None:
    frame = await world.add_frame()
    sheet = {"revision": 0, "boxes": [CAR]}
    async with world.client("annotator") as client:
        await client.put(f"/frames/{frame}/draft", json=sheet)
        async with world.centre.database.write() as session:
            gone = update(Session).where(Session.user == "annotator")
            await session.execute(gone.values(expires=utc_now() - timedelta(seconds=1)))
        refused = await client.put(f"/frames/{frame}/labels", json=sheet)
        async with world.centre.database.write() as session:
            token = await open_session(session, "annotator", 1.0)
        client.headers["Authorization"] = f"Bearer {token}"
        view = (await client.get(f"/frames/{frame}")).json()
        saved = await client.put(f"/frames/{frame}/labels", json=sheet)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "not_logged_in")
    assert (view["revision"], [b["label"] for b in view["draft"]["boxes"]]) == (0, ["car"])
    assert saved.status_code == 200


async def test_labels__label_removed_meanwhile_is_told_and_nothing_is_lost(world: World) -> None:
    first, frame = await world.add_frame(1), await world.add_frame(2)
    bus = {"revision": 0, "boxes": [CAR | {"label": "bus"}]}
    async with world.client("annotator") as client:
        await client.put(f"/frames/{first}/labels", json=bus)
        await client.put(f"/frames/{frame}/draft", json=bus)
        project = world.centre.profile
        left = tuple(label for label in project.labels if label.name != "bus")
        object.__setattr__(world.centre, "profile", project.model_copy(update={"labels": left}))
        refused = await client.put(f"/frames/{frame}/labels", json=bus)
        view = (await client.get(f"/frames/{frame}")).json()
        kept = (await client.get(f"/frames/{first}")).json()
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["detail"]["label"]) == (422, "unknown_label", "bus")
    assert [b["label"] for b in view["draft"]["boxes"]] == [b["label"] for b in kept["boxes"]] == ["bus"]


@pytest.mark.parametrize(
    ("role", "site", "own", "given"),
    [
        ("annotator", "north", "viewer", None),
        ("annotator", "south", "viewer", "frame"),
        ("viewer", "north", "annotator", "frame"),
        ("viewer", "south", "annotator", None),
    ],
)
async def test_next__only_of_sites_where_one_may_annotate(
    world: World, role: str, site: str, own: str, given: str | None
) -> None:
    await world.add_frame()
    async with world.centre.database.write() as session:
        session.add(SiteRole(user=role, site=site, role=own))
    async with world.client(role) as client:
        answer = await client.post("/queue/next", json={})
    assert answer.status_code == 200
    assert (answer.json()["frame"] is None) == (given is None)
