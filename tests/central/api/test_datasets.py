"""Search, snapshots and the profile over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml
from sqlalchemy import select

from central.annotate import profile
from central.store.models import Annotation, LabelRevision

World = Any
CAR = {"box": [10.0, 20.0, 60.0, 50.0], "label": "car"}


def vector(angle: float) -> bytes:
    return np.array([np.cos(angle), np.sin(angle)], "<f4").tobytes()


async def put(client: Any, frame: str, revision: int, boxes: list[Any], **more: Any) -> Any:
    answer = await client.put(f"/frames/{frame}/labels", json={"revision": revision, "boxes": boxes, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_search__pages_totals_and_likeness(world: World) -> None:
    ids = [await world.add_frame(n, embedding=vector(n / 10)) for n in range(1, 6)]
    async with world.client("viewer") as client:
        first = (await client.get("/search", params={"camera": "c1", "label": "car", "limit": 2})).json()
        rest = (await client.get("/search", params={"label": "car", "limit": 9, "cursor": first["next"]})).json()
        alike = (await client.get("/search", params={"like": ids[0], "limit": 2})).json()
    assert [i["frame"]["id"] for i in first["items"] + rest["items"]] == ids[::-1]
    assert (first["total"], rest["next"]) == (5, None)
    assert [i["frame"]["id"] for i in alike["items"]] == ids[1:3]
    assert alike["items"][0]["likeness"] == pytest.approx(np.cos(0.1), abs=1e-6)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"cursor": "../x"}, 422, "invalid"), ({"min_score": 2}, 422, "invalid"), ({"since": "soon"}, 422, "invalid"),
        ({"since": "2026-01-01T00:00:00"}, 422, "invalid"), ({"limit": 0}, 422, "invalid"),
        ({"like": "00000009-0000-7000-8000-000000000000"}, 404, "not_found"),
        ({"like": "00000001-0000-7000-8000-000000000000"}, 422, "no_embedding"),
        ({"kind": "nix"}, 422, "invalid"), ({"present": "x" * 65}, 422, "invalid"),
    ],
)  # fmt: skip
async def test_search__refused(world: World, query: dict[str, Any], status: int, code: str) -> None:
    await world.add_frame(1)
    async with world.client("viewer") as client:
        answer = await client.get("/search", params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_facets(world: World) -> None:
    await world.add_frame(1)
    async with world.client("viewer") as client:
        found = (await client.get("/search/facets")).json()
    assert found["cameras"] == [{"node": "n1", "camera": "c1", "frames": 1}]
    assert found["labels"] == [{"label": "car", "frames": 1, "labelled": 0}]
    assert found["states"] == {"pending": 1}


async def test_snapshots__take_list_check_diff(world: World) -> None:
    frame = await world.add_frame(1)
    async with world.client("engineer") as client:
        await put(client, frame, 0, [CAR])
        one = (await client.post("/snapshots", json={"name": "first"})).json()
        again = (await client.post("/snapshots", json={"name": "other"})).json()
        await put(client, frame, 1, [CAR, CAR | {"label": "bus"}])
        two = (await client.post("/snapshots", json={})).json()
        listed = (await client.get("/snapshots")).json()["items"]
        check = (await client.get(f"/snapshots/{one['address'][:10]}/check")).json()
        diff = (await client.get(f"/snapshots/{one['address']}/diff", params={"to": two["address"]})).json()
        missing = await client.get("/snapshots/nix")
    assert again == one and (one["name"], one["by"], one["frames"], one["labels"]) == ("first", "engineer", 1, 1)
    assert [s["address"] for s in listed] == [two["address"], one["address"]]
    assert check == {"whole": True, "problems": []}
    assert diff["labels"]["bus"] == {"added": 1, "removed": 0, "changed": 0, "before": 0, "after": 1}
    assert missing.status_code == 404


async def test_snapshots__pages(world: World) -> None:
    frame = await world.add_frame(1)
    async with world.client("engineer") as client:
        made = []
        for revision in range(3):
            await put(client, frame, revision, [CAR] * revision)
            made.append((await client.post("/snapshots", json={})).json()["address"])
        first = (await client.get("/snapshots", params={"limit": 2})).json()
        rest = (await client.get("/snapshots", params={"limit": 2, "cursor": first["next"]})).json()
    assert [s["address"] for s in first["items"] + rest["items"]] == made[::-1]


def edited(state: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"version": state["version"], "profile": state["profile"] | parts}


async def test_profile__rename_changes_every_frame_and_keeps_history(world: World) -> None:
    frame = await world.add_frame(1)
    await world.add_frame(2)
    async with world.client("engineer") as client:
        await put(client, frame, 0, [CAR], complete_for=["car"], tags={"rain": "present"})
        state = (await client.get("/profile")).json()
        labels = [x | ({"name": "vehicle"} if x["name"] == "car" else {}) for x in state["profile"]["labels"]]
        body = edited(state, labels=labels) | {"renamed": {"car": "vehicle"}, "note": "clearer"}
        answer = await client.put("/profile", json=body)
        shown = (await client.get(f"/frames/{frame}")).json()
        other = (await client.get("/queue")).json()["items"][0]
        history = (await client.get("/profile/history")).json()
        old = await client.put(f"/frames/{frame}/labels", json={"revision": 2, "boxes": [CAR]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == 1
    assert [b["label"] for b in shown["boxes"]] == shown["complete_for"] == ["vehicle"]
    assert shown["revision"] == 2
    assert shown["tags"] == {"rain": "present"}
    assert [b["label"] for b in other["boxes"]] == ["vehicle"]
    assert (history[0]["by"], history[0]["changes"]["renamed"], history[0]["note"]) == (
        "engineer", {"car": "vehicle"}, "clearer",
    )  # fmt: skip
    assert old.status_code == 422
    async with world.centre.database.read() as session:
        rows = await session.scalars(select(LabelRevision).where(LabelRevision.frame == frame))
        assert [r.boxes[0]["label"] for r in sorted(rows, key=lambda r: r.revision)] == ["car", "vehicle"]
    saved = yaml.safe_load((world.centre.settings.data / profile.EDITED).read_text())
    assert "vehicle" in [x["name"] for x in saved["labels"]]
    assert "vehicle" in profile.current(world.centre.settings).label_names


async def test_profile__second_editor_is_told(world: World) -> None:
    async with world.client("engineer") as client:
        state = (await client.get("/profile")).json()
        first = await client.put("/profile", json=edited(state, name="mine"))
        second = await client.put("/profile", json=edited(state, name="yours"))
    assert first.headers["etag"] == '"1"'
    assert (second.status_code, second.json()["error"]["code"]) == (409, "conflict")
    assert second.json()["error"]["detail"]["name"] == "mine"


@pytest.mark.parametrize(("how", "left"), [("delete", []), ("keep", ["car"])])
async def test_profile__label_in_use(world: World, how: str, left: list[str]) -> None:
    frame = await world.add_frame(1)
    await world.add_frame(2)
    async with world.client("engineer") as client:
        await put(client, frame, 0, [CAR])
        state = (await client.get("/profile")).json()
        labels = [x for x in state["profile"]["labels"] if x["name"] != "car"]
        refused = await client.put("/profile", json=edited(state, labels=labels))
        taken = await client.put("/profile", json=edited(state, labels=labels) | {"removed": {"car": how}})
        shown = (await client.get(f"/frames/{frame}")).json()
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "in_use")
    assert refused.json()["error"]["detail"] == {"label": "car", "frames": 1, "boxes": 1}
    assert taken.status_code == 200
    assert [b["label"] for b in shown["boxes"]] == left
    async with world.centre.database.read() as session:
        waiting = await session.scalars(select(Annotation.label).where(~Annotation.confirmed))
        assert list(waiting) == [], "nobody could confirm them"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"renamed": {"zebra": "car"}}, "unknown_label"),
        ({"renamed": {"car": "nix"}}, "bad_rename"),
        ({"removed": {"car": "delete"}}, "bad_removal"),
        ({"removed": {"car": "burn"}}, "invalid"),
    ],
)
async def test_profile__refused(world: World, change: dict[str, Any], code: str) -> None:
    async with world.client("engineer") as client:
        state = (await client.get("/profile")).json()
        answer = await client.put("/profile", json=edited(state) | change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)


async def test_profile__use(world: World) -> None:
    frame = await world.add_frame(1)
    async with world.client("engineer") as client:
        await put(client, frame, 0, [CAR, CAR], tags={"rain": "absent"})
        use = (await client.get("/profile/use")).json()
    assert use["labels"]["car"] == {"frames": 1, "boxes": 2}
    assert use["tags"]["rain"] == {"frames": 1, "boxes": 0}


@pytest.mark.parametrize(
    ("method", "path", "role"), [("PUT", "/profile", "annotator"), ("POST", "/snapshots", "annotator")]
)
async def test_roles(world: World, method: str, path: str, role: str) -> None:
    async with world.client(role) as client:
        state = (await client.get("/profile")).json()
        body = edited(state) if path == "/profile" else {}
        assert (await client.request(method, path, json=body)).status_code == 403
