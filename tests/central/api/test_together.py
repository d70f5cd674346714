"""Pairs, second opinions and sources over HTTP."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

World = Any
CAR = {"box": [10.0, 20.0, 60.0, 50.0], "label": "car"}
IMAGE = cv2.imencode(".jpg", np.full((360, 640, 3), 127, np.uint8))[1].tobytes()


async def blurred(world: World, count: int = 6) -> None:
    """Frames with one car each, blur rising."""
    for number in range(1, count + 1):
        seen = [{"box": [10, 20, 110, 90], "label": "car", "score": 0.9, "blur": number / 10}]
        frame = await world.add_frame(number, detections=seen)
        await world.centre.blobs.put([(f"frames/{frame}.jpg", IMAGE)])


async def test_pairs__asked_shown_answered(world: World) -> None:
    await blurred(world)
    async with world.client("annotator") as client:
        page = (await client.get("/pairs", params={"limit": 3})).json()
        one = page["items"][0]
        image = await client.get(one["left"]["image"].removeprefix("/api/v1"))
        first = (await client.post(f"/pairs/{one['id']}", json={"answer": "left", "seconds": 1.5})).json()
        again = (await client.post(f"/pairs/{one['id']}", json={"answer": "cant_tell"})).json()
        later = (await client.get("/pairs", params={"limit": 3})).json()
    picture = cv2.imdecode(np.frombuffer(image.content, np.uint8), cv2.IMREAD_COLOR)
    assert page["answered"] == 0 and len(page["items"]) == 3
    assert one["left"]["frame"] != one["right"]["frame"]
    assert picture is not None and picture.shape == (84, 120, 3)
    assert image.headers["content-type"] == "image/png"
    assert (first["answered"], again["answered"], later["answered"]) == (1, 1, 1)
    assert one["id"] not in [p["id"] for p in later["items"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/pairs/99", {"answer": "left"}, 404, "not_found"),
        ("POST", "/pairs/99", {"answer": "up"}, 422, "invalid"),
        ("POST", "/pairs/99", {"answer": "left", "seconds": 1e9}, 422, "invalid"),
        ("POST", "/pairs/x", {"answer": "left"}, 422, "invalid"),
        ("GET", "/pairs/99/left", None, 404, "not_found"),
        ("GET", "/pairs/99/up", None, 422, "invalid"),
        ("GET", "/adjudication", None, 403, "forbidden"),
        ("POST", "/frames/nix/adjudicate", {"revision": 0, "boxes": []}, 403, "forbidden"),
    ],
)
async def test_refused(world: World, method: str, path: str, body: Any, status: int, code: str) -> None:
    async with world.client("annotator") as client:
        answer = await client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(("method", "path"), [("GET", "/pairs"), ("POST", "/pairs/1")])
async def test_pairs__need_an_annotator(world: World, method: str, path: str) -> None:
    async with world.client("viewer") as client:
        assert (await client.request(method, path, json={"answer": "left"})).status_code == 403


def everything_twice(world: World) -> None:
    object.__setattr__(world.centre, "settings", world.centre.settings.model_copy(update={"double_share": 1.0}))


async def test_second_opinion__blind_then_disputed_then_settled(world: World) -> None:
    everything_twice(world)
    frame = await world.add_frame()
    async with world.client("annotator") as one, world.client("engineer") as other:
        await one.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": [CAR], "complete_for": ["car"]})
        own = (await one.post("/queue/next", json={})).json()["frame"]
        asked = (await other.post("/queue/next", json={})).json()["frame"]
        past = (await other.get(f"/frames/{frame}/history")).json()["items"]
        given = (await other.put(f"/frames/{frame}/labels", json={"revision": asked["revision"], "boxes": []})).json()
        disputes = (await other.get("/adjudication")).json()["items"]
        agreed = (await other.get("/agreement")).json()
        final = {"revision": 1, "boxes": [CAR]}
        settled = (await other.post(f"/frames/{frame}/adjudicate", json=final)).json()
        after = (await other.get("/adjudication")).json()["items"]
        history = (await one.get(f"/frames/{frame}/history")).json()["items"]
    assert own is None
    assert (asked["double"], asked["state"], asked["boxes"], past) == (True, "pending", [], [])
    assert (given["double"], given["revision"], len(given["boxes"])) == (False, 1, 1)
    assert [(d["first"]["by"], d["second"]["by"]) for d in disputes] == [("annotator", "engineer")]
    assert (len(disputes[0]["first"]["boxes"]), len(disputes[0]["second"]["boxes"])) == (1, 0)
    assert [(a["people"], a["name"], a["first"], a["f1"]) for a in agreed["items"]] == [
        (["annotator", "engineer"], "car", 1, 0.0)
    ]
    assert (settled["revision"], after, history[-1]["state"]) == (2, [], "adjudicated")


async def test_second_opinion__agreed_or_declined_leaves_the_labels(world: World) -> None:
    everything_twice(world)
    same, declined = await world.add_frame(1), await world.add_frame(2)
    async with world.client("annotator") as one, world.client("engineer") as other:
        for frame in (same, declined):
            await one.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": [CAR]})
        await other.put(f"/frames/{same}/labels", json={"revision": 1, "boxes": [CAR]})
        view = (await other.post(f"/frames/{declined}/skip", json={"revision": 1, "reason": "cant_tell"})).json()
        left = (await other.post("/queue/next", json={})).json()["frame"]
        disputes = (await other.get("/adjudication")).json()["items"]
    assert (view["state"], view["revision"], left, disputes) == ("labelled", 1, None, [])


async def test_sources__accuracy_from_confirmations(world: World) -> None:
    async with world.client("annotator") as client:
        for number in range(1, 23):
            frame = await world.add_frame(number)
            boxes = [{"box": [1, 2, 30, 40], "label": "car"}] if number <= 11 else []
            body = {"revision": 0, "boxes": boxes, "complete_for": ["car"]}
            await client.put(f"/frames/{frame}/labels", json=body)
        found = (await client.get("/sources")).json()["items"]
    assert [(f["source"], f["label"], f["proposed"], f["kept"], f["deleted"]) for f in found] == [
        ("node", "car", 22, 11, 11)
    ]
    part = found[0]["calibration"][7]
    assert found[0]["precision"] == 0.5
    assert (part["proposed"], part["right"]) == (22, 11) or found[0]["calibration"][6]["proposed"] == 22
    assert part["confidence"] == pytest.approx(0.5, abs=0.05)
