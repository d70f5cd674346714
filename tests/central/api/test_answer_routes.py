"""Answering single questions about frames over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from central.annotate.asking.store import renew
from central.annotate.queue import load
from central.store.models import Verdict

World = Any
BOX = [1.0, 2.0, 30.0, 40.0]
YES = {"revision": 0, "question": {"kind": "box", "label": "car", "box": BOX}, "answer": "yes", "seconds": 1.5}


async def ask(world: World, frame: str) -> None:
    async with world.centre.database.write() as session:
        row, profile = await load(session, frame), world.centre.profile
        await renew(session, row, profile.label_names, profile.tag_names)


async def post(world: World, frame: str, body: Any, role: str = "annotator") -> Any:
    async with world.client(role) as client:
        return await client.post(f"/frames/{frame}/answer", json=body)


async def test_queue__carries_the_question(world: World) -> None:
    frame = await world.add_frame()
    await ask(world, frame)
    async with world.client("annotator") as client:
        page = (await client.get("/queue")).json()["items"][0]["question"]
        mine = (await client.post("/queue/next", json={})).json()["frame"]["question"]
    assert page == mine
    assert page["kind"] in ("missing", "box", "boxes")
    assert page["seconds"] > 0
    assert page["gain"] > 0
    assert page["reason"]


async def test_box__yes_is_a_label_and_the_frame_waits_on(world: World) -> None:
    frame = await world.add_frame()
    view = (await post(world, frame, YES)).json()
    assert [(b["label"], b["confirmed"], b["origin"], b["source"]) for b in view["boxes"]] == [
        ("car", True, "node", "person")
    ]
    assert (view["state"], view["revision"], view["complete_for"]) == ("pending", 1, [])
    assert view["question"] is not None


async def test_box__no_takes_the_proposal_away(world: World) -> None:
    frame = await world.add_frame()
    view = (await post(world, frame, YES | {"answer": "no"})).json()
    assert (view["boxes"], view["state"]) == ([], "pending")
    async with world.centre.database.read() as session:
        verdicts = list(await session.scalars(select(Verdict)))
    assert [(v.source, v.outcome) for v in verdicts] == [("node", "deleted")]


async def test_missing__nothing_completes_the_frame(world: World) -> None:
    frame = await world.add_frame()
    labels = list(world.centre.profile.label_names)
    question = {"kind": "missing", "labels": labels, "boxes": [{"box": BOX, "label": "car"}]}
    view = (await post(world, frame, {"revision": 0, "question": question, "answer": "nothing"})).json()
    assert (view["state"], sorted(view["complete_for"]), view["question"]) == ("labelled", sorted(labels), None)
    assert [b["confirmed"] for b in view["boxes"]] == [True]


async def test_missing__nothing_of_one_label_rejects_what_was_not_shown(world: World) -> None:
    frame = await world.add_frame()
    question = {"kind": "missing", "labels": ["car"], "boxes": []}
    view = (await post(world, frame, {"revision": 0, "question": question, "answer": "nothing"})).json()
    assert (view["state"], view["complete_for"], view["boxes"]) == ("pending", ["car"], [])


async def test_missing__something_leaves_all_as_it_was(world: World) -> None:
    frame = await world.add_frame()
    question = {"kind": "missing", "labels": ["car"], "boxes": [{"box": BOX, "label": "car"}]}
    view = (await post(world, frame, {"revision": 0, "question": question, "answer": "something"})).json()
    assert (view["complete_for"], [b["confirmed"] for b in view["boxes"]]) == ([], [False])
    assert view["question"]["kind"] != "missing" or view["question"]["labels"] != ["car"]


async def test_tag__is_known_then(world: World) -> None:
    tag = world.centre.profile.tag_names[0]
    frame = await world.add_frame(tag_proposals={tag: 0.5})
    await ask(world, frame)
    body = {"revision": 0, "question": {"kind": "tag", "tag": tag}, "answer": "absent"}
    view = (await post(world, frame, body)).json()
    assert (view["tags"], view["state"], [b["confirmed"] for b in view["boxes"]]) == (
        {tag: "absent"},
        "pending",
        [False],
    )


CLICK = {"revision": 0, "question": {"kind": "click", "label": "car"}, "answer": "point", "point": [15.0, 20.0],
         "seconds": 2.5}  # fmt: skip


async def test_click__is_a_point_and_makes_its_proposal_surer(world: World) -> None:
    frame = await world.add_frame()
    view = (await post(world, frame, CLICK)).json()
    assert [(p["label"], p["at"], p["by"], p["seconds"]) for p in view["points"]] == [
        ("car", [15.0, 20.0], "annotator", 2.5)
    ]
    assert [(b["label"], b["confirmed"]) for b in view["boxes"]] == [("car", False)]
    assert view["boxes"][0]["confidence"] > view["boxes"][0]["score"]
    assert (view["state"], view["revision"]) == ("pending", 1)
    assert view["question"]["kind"] != "click"
    async with world.client("annotator") as client:
        history = (await client.get(f"/frames/{frame}/history")).json()["items"]
    assert [[p["at"] for p in item["points"]] for item in history] == [[[15.0, 20.0]]]


async def test_click__there_is_none(world: World) -> None:
    frame = await world.add_frame()
    body = CLICK | {"answer": "none", "point": None}
    view = (await post(world, frame, body)).json()
    assert (view["points"], view["boxes"], view["complete_for"]) == ([], [], ["car"])


async def test_click__twice_is_once_and_elsewhere_is_another(world: World) -> None:
    frame = await world.add_frame()
    one, two = await post(world, frame, CLICK), await post(world, frame, CLICK)
    other = await post(world, frame, CLICK | {"point": [1.0, 1.0]})
    assert [a.status_code for a in (one, two, other)] == [200, 200, 409]
    assert len(two.json()["points"]) == 1


async def test_click__is_asked_where_a_tag_speaks_of_what_no_box_shows(world: World) -> None:
    frame = await world.add_frame(tag_proposals={"bus": 0.95})
    await ask(world, frame)
    async with world.client("annotator") as client:
        question = (await client.get(f"/frames/{frame}")).json()["question"]
    assert (question["kind"], question["label"], question["box"]) == ("click", "bus", None)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"point": None}, "wrong_answer"),
        ({"answer": "none"}, "wrong_answer"),
        ({"answer": "yes", "point": None}, "wrong_answer"),
        ({"point": [-1.0, 5.0]}, "bad_point"),
        ({"question": {"kind": "click"}}, "wrong_question"),
        ({"question": {"kind": "click", "label": "hovercraft"}}, "unknown_label"),
        ({"question": {"kind": "click", "labels": ["car", "bus"]}}, "wrong_question"),
    ],
)
async def test_click__wrong(world: World, change: Any, code: str) -> None:
    answer = await post(world, await world.add_frame(), CLICK | change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)


async def test_answer__twice_is_once(world: World) -> None:
    frame = await world.add_frame()
    one, two = await post(world, frame, YES), await post(world, frame, YES)
    async with world.client("annotator") as client:
        history = (await client.get(f"/frames/{frame}/history")).json()["items"]
    assert (one.status_code, two.status_code, two.json()["revision"], len(history)) == (200, 200, 1, 1)
    assert history[0]["state"] == "answered"


async def test_answer__an_older_revision_is_a_conflict(world: World) -> None:
    frame = await world.add_frame()
    await post(world, frame, YES)
    late = await post(world, frame, YES | {"answer": "no"})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "conflict")
    assert late.json()["error"]["detail"]["revision"] == 1


async def test_answer__a_labelled_frame_waits_for_none(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("annotator") as client:
        await client.put(f"/frames/{frame}/labels", json={"revision": 0, "boxes": []})
    assert (await post(world, frame, YES | {"revision": 1})).status_code == 409


async def test_answer__leased_by_somebody_else(world: World) -> None:
    frame = await world.add_frame()
    async with world.client("engineer") as other:
        await other.post(f"/frames/{frame}/lease")
    assert (await post(world, frame, YES)).json()["error"]["code"] == "leased"


@pytest.mark.parametrize(
    ("question", "answer", "code"),
    [
        ({"kind": "box", "label": "car", "box": BOX}, "present", "wrong_answer"),
        ({"kind": "box"}, "yes", "wrong_question"),
        ({"kind": "box", "label": "cat", "box": BOX}, "yes", "unknown_label"),
        ({"kind": "tag", "tag": "sparkling"}, "present", "unknown_tag"),
        ({"kind": "tag"}, "present", "wrong_question"),
        ({"kind": "missing"}, "nothing", "wrong_question"),
        ({"kind": "missing", "labels": ["bus"], "boxes": [{"box": BOX, "label": "car"}]}, "nothing", "wrong_question"),
        ({"kind": "missing", "labels": ["cat"]}, "nothing", "unknown_label"),
    ],
)
async def test_answer__refused(world: World, question: Any, answer: str, code: str) -> None:
    frame = await world.add_frame()
    found = await post(world, frame, {"revision": 0, "question": question, "answer": answer})
    assert (found.status_code, found.json()["error"]["code"]) == (422, code)


async def test_answer__needs_an_annotator(world: World) -> None:
    assert (await post(world, await world.add_frame(), YES, "viewer")).status_code == 403


async def test_answer__frame_missing(world: World) -> None:
    assert (await post(world, "nix", YES)).status_code == 404
