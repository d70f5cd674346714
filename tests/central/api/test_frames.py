"""Frames over HTTP: order, paging, images, answers and their conflicts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from central.store.models import LabelRevision

World = Any
CAR = {"box": [10.0, 20.0, 60.0, 50.0], "label": "car"}


async def test_queue__most_valuable_first(world: World) -> None:
    for number, value in ((1, 0.2), (2, 0.9), (3, 0.5)):
        await world.add_frame(number, value)
    async with world.client("viewer") as client:
        answer = (await client.get("/queue", params={"limit": 2})).json()
    assert [f["value"] for f in answer["items"]] == [0.9, 0.5]
    assert answer["pending"] == 3
    assert answer["items"][0]["reason"] == "uncertain"


async def test_queue__proposals_are_not_confirmed(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("viewer") as client:
        boxes = (await client.get(f"/frames/{frame}")).json()["boxes"]
    assert [(b["source"], b["confirmed"], b["score"]) for b in boxes] == [("node", False, 0.7)]


async def test_frames__pages_cover_everything_once(world: World) -> None:
    ids = [await world.add_frame(number) for number in range(1, 8)]
    seen, cursor = [], None
    async with world.client("viewer") as client:
        while True:
            page = (await client.get("/frames", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
            seen += [f["id"] for f in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
    assert seen == sorted(ids, reverse=True)


@pytest.mark.parametrize(
    ("query", "count"), [({"camera": "c1"}, 1), ({"camera": "c2"}, 0), ({"state": "labelled"}, 0), ({"node": "n1"}, 1)]
)
async def test_frames__filtered(world: World, query: dict[str, str], count: int) -> None:
    await world.add_frame()
    async with world.client("viewer") as client:
        assert len((await client.get("/frames", params=query)).json()["items"]) == count


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 100000}, {"cursor": "../x"}, {"state": "new"}, {"node": "a/b"}]
)
async def test_frames__bad_query(world: World, query: dict[str, Any]) -> None:
    async with world.client("viewer") as client:
        answer = await client.get("/frames", params=query)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid"


async def test_image__jpeg_and_immutable(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("viewer") as client:
        answer = await client.get(f"/frames/{frame}/image")
        again = await client.get(f"/frames/{frame}/image", headers={"If-None-Match": answer.headers["etag"]})
    assert answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert again.status_code == 304 and again.content == b""


@pytest.mark.parametrize("frame", ["..%2f..%2fetc%2fpasswd", "x" * 40, "00000009-0000-7000-8000-000000000000", "%00"])
@pytest.mark.parametrize("rest", ["", "/image", "/history"])
async def test_frame__missing(world: World, frame: str, rest: str) -> None:
    async with world.client("viewer") as client:
        answer = await client.get(f"/frames/{frame}{rest}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_labels__replace_proposals(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        body = {"revision": 0, "boxes": [CAR], "complete_for": ["car", "bus"]}
        answer = await client.put(f"/frames/{frame}/labels", json=body)
    view = answer.json()
    assert answer.status_code == 200
    assert (view["state"], view["revision"], view["complete_for"]) == ("labelled", 1, ["bus", "car"])
    assert [(b["label"], b["source"], b["confirmed"]) for b in view["boxes"]] == [("car", "person", True)]


async def test_labels__stale_revision_shows_what_is(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        await client.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": [CAR]})
        answer = await client.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": []})
        now = (await client.get(f"/frames/{frame}")).json()
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "conflict"
    assert answer.json()["error"]["detail"] == now
    assert len(now["boxes"]) == 1


async def test_labels__many_at_once_one_wins(world: World) -> None:
    frame = await world.add_frame()

    async def put(number: int) -> int:
        async with world.client("annotator") as client:
            body = {"revision": 0, "boxes": [CAR] * (number + 1)}
            return (await client.put(f"/frames/{frame}/labels", json=body)).status_code

    statuses = await asyncio.gather(*(put(n) for n in range(8)))
    assert sorted(statuses) == [200] + [409] * 7
    async with world.centre.database.read() as session:
        kept = list(await session.scalars(select(LabelRevision)))
    async with world.client("viewer") as client:
        shown = (await client.get(f"/frames/{frame}")).json()
    assert len(kept) == 1
    assert len(kept[0].boxes) == len(shown["boxes"]) == statuses.index(200) + 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"boxes": [{"box": [1, 1, 5, 5], "label": "cat"}]}, "unknown_label"),
        ({"boxes": [], "complete_for": ["cat"]}, "unknown_label"),
        ({"boxes": [{"box": [700, 1, 800, 5], "label": "car"}]}, "bad_box"),
        ({"boxes": [{"box": [5, 5, 5, 9], "label": "car"}]}, "bad_box"),
        ({"boxes": [{"box": [9, 9, 5, 5], "label": "car"}]}, "bad_box"),
        ({"boxes": [{"box": [1, 2, 3], "label": "car"}]}, "invalid"),
        ({"boxes": [{"box": [1, 2, "x", 5], "label": "car"}]}, "invalid"),
        ({"boxes": [{"box": [1, 2, 3, 1e99], "label": "car"}]}, "invalid"),
        ({"boxes": [CAR] * 501}, "invalid"),
        ({"boxes": [], "extra": 1}, "invalid"),
        ({"boxes": [], "revision": -1}, "invalid"),
    ],
)
async def test_labels__refused_and_nothing_changed(world: World, body: dict[str, Any], code: str) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        answer = await client.put(f"/frames/{frame}/labels", json={"revision": 0} | body)
        after = (await client.get(f"/frames/{frame}")).json()
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code
    assert (after["revision"], after["state"], len(after["boxes"])) == (0, "pending", 1)


async def test_labels__unknown_label_is_named(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        body = {"revision": 0, "boxes": [{"box": [1, 1, 5, 5], "label": "<b>cat</b>"}]}
        error = (await client.put(f"/frames/{frame}/labels", json=body)).json()["error"]
    assert "'<b>cat</b>' does not exist" in error["message"]
    assert error["detail"]["labels"] == ["person", "two_wheeler", "car", "bus", "truck"]


async def test_labels__a_little_outside_is_clipped(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        body = {"revision": 0, "boxes": [{"box": [-1.5, 10, 641, 361.9], "label": "car"}]}
        view = (await client.put(f"/frames/{frame}/labels", json=body)).json()
    assert view["boxes"][0]["box"] == [0.0, 10.0, 640.0, 360.0]


async def test_skip__then_history(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        await client.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": [CAR], "complete_for": ["car"]})
        view = (await client.post(f"/frames/{frame}/skip", json={"revision": 1})).json()
        again = await client.post(f"/frames/{frame}/skip", json={"revision": 1})
        stale = await client.post(f"/frames/{frame}/skip", json={"revision": 0})
        history = (await client.get(f"/frames/{frame}/history")).json()["items"]
    assert (view["state"], view["revision"], len(view["boxes"])) == ("skipped", 2, 1)
    assert (again.status_code, again.json()["revision"]) == (200, 2)
    assert stale.status_code == 409
    assert [(h["revision"], h["state"], h["by"]) for h in history] == [
        (1, "labelled", "annotator"),
        (2, "skipped", "annotator"),
    ]
    assert history[0]["boxes"] == [CAR | {"mask": None, "origin": None}]


async def test_label__others_are_told(world: World) -> None:
    frame, kinds = await world.add_frame(), []
    world.centre.notifier.listen(kinds.append)
    async with world.client("annotator") as client:
        await client.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": []})
    assert kinds == ["label"]


XSS = "<script>alert(1)</script><img src=x onerror=alert(1)>"


async def test_text__stays_text(world: World) -> None:
    frame = await world.add_frame(
        name=XSS, selection={"keep": True, "probability": 1.0, "reason": XSS, "policy": XSS},
        assessment={"reasons": {XSS: XSS}},
    )  # fmt: skip
    async with world.client("viewer") as client:
        answer = await client.get(f"/frames/{frame}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["reason"] == XSS
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
