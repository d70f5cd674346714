"""What is asked about frames, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from central.annotate import auto, queue
from central.annotate.asking import Costs, Question
from central.annotate.asking import answer as replies
from central.annotate.asking.choose import Known, options, unboxed
from central.annotate.asking.click import weighed
from central.annotate.asking.costs import ENOUGH, measured
from central.annotate.asking.order import NONE, arrange, costs_now, deal, mark, order
from central.annotate.boxes import LabelBox
from central.annotate.queue import Answer
from central.learn.acquire import Pool, acquisitions
from central.learn.snapshot import labelled
from central.store.models import Annotation, Frame, FrameQuestion, QuestionAnswer
from protocols.messages import AUDIT_REASON
from protocols.slots import SlotError

LABELS = ("car", "bus")
TAGS = ("night",)


def frame(**columns: Any) -> Frame:
    values: dict[str, Any] = {"assessment": {}, "selection": {}, "complete_for": [], "tags": {}, "tag_proposals": {}}
    return Frame(id="f", node="n", camera="c", captured_at=datetime(2026, 1, 1, tzinfo=UTC), **values | columns)


def proposal(score: float, label: str = "car", x: float = 0.0, confidence: float | None = None) -> Annotation:
    return Annotation(x1=x, y1=0.0, x2=x + 10, y2=10.0, label=label, source="pack", score=score, confidence=confidence)


def kinds(found: list[Question]) -> list[str]:
    return [q.kind for q in found]


def test_options__sure_boxes_and_no_motion_ask_what_is_missing() -> None:
    best = options(frame(), [proposal(0.95), proposal(0.9, x=50)], Known(LABELS))[0]
    assert (best.kind, best.labels, len(best.boxes)) == ("missing", LABELS, 2)


def test_options__one_doubtful_box_among_sure_ones_is_asked_about() -> None:
    seen = [proposal(0.9, x=20.0 * n) for n in range(6)] + [proposal(0.55, "bus", 300)]
    best = options(frame(assessment={"unexplained_motion": 1.0}), seen, Known(LABELS))[0]
    assert (best.kind, best.boxes[0]["label"]) == ("box", "bus")


def test_options__missing_is_not_asked_while_boxes_are_doubtful() -> None:
    assert "missing" not in kinds(options(frame(), [proposal(0.5)], Known(LABELS)))


def test_options__measured_confidence_counts_for_the_score() -> None:
    found = options(frame(), [proposal(0.95, confidence=0.5)], Known(LABELS))
    assert next(q for q in found if q.kind == "box").gain == pytest.approx(0.25)


def test_options__a_tag_that_is_unknown() -> None:
    found = options(frame(tag_proposals={"night": 0.5, "sparkling": 0.5}), [], Known(LABELS, TAGS))
    assert [q.tag for q in found if q.kind == "tag"] == ["night"]
    assert "tag" not in kinds(
        options(frame(tag_proposals={"night": 0.5}, tags={"night": "absent"}), [], Known(LABELS, TAGS))
    )


def test_options__a_tag_that_no_box_shows_is_a_missed_object() -> None:
    plain, tagged = (options(frame(tags=tags), [proposal(0.95)], Known(LABELS)) for tags in ({}, {"bus": "present"}))
    assert "missing" in kinds(plain) and "missing" not in kinds(tagged)
    whole = [next(q.gain for q in found if q.kind == "boxes") for found in (plain, tagged)]
    assert whole[1] == pytest.approx(whole[0] + 1)
    shown = options(frame(tags={"bus": "present"}), [proposal(0.95), proposal(0.9, "bus", 50)], Known(LABELS))
    assert "missing" in kinds(shown)


def test_options__a_tag_that_no_box_shows_is_clicked() -> None:
    found = options(frame(tags={"bus": "present"}), [proposal(0.95)], Known(LABELS))
    assert [(q.labels, q.seconds) for q in found if q.kind == "click"] == [(("bus",), Costs().look + Costs().click)]
    assert found[0].kind == "click"


@pytest.mark.parametrize(
    ("columns", "proposals", "done"),
    [
        ({}, [], []),
        ({"tags": {"car": "absent"}}, [proposal(0.5)], []),
        ({"tags": {"car": "present"}, "complete_for": ["car"]}, [], []),
        ({"tags": {"car": "present"}}, [proposal(0.9)], []),
        ({"tag_proposals": {"car": 0.4}}, [], []),
        ({"tags": {"car": "present"}}, [], [("click", {"labels": ["car"], "answer": "cant_tell"})]),
        ({"tags": {"car": "present"}}, [], [("box", {"boxes": [{"box": [0, 0, 9, 9], "label": "car"}],
                                                     "answer": "yes"})]),
    ],
    ids=["nothing speaks for one", "absent", "looked through", "sure", "hardly likely", "asked before", "confirmed"],
)  # fmt: skip
def test_options__no_click_where_it_brings_nothing(columns: Any, proposals: Any, done: Any) -> None:
    assert "click" not in kinds(options(frame(**columns), proposals, Known(LABELS, done=done)))


def test_options__boxes_around_one_object_are_worth_a_click() -> None:
    one = options(frame(), [proposal(0.55)], Known(LABELS))
    part = Annotation(x1=1.0, y1=1.0, x2=9.0, y2=9.0, label="car", source="pack", score=0.5)
    several = options(frame(), [proposal(0.55), part], Known(LABELS))
    gains = [next(q.gain for q in found if q.kind == "click") for found in (one, several)]
    assert gains[1] == pytest.approx(gains[0] + 0.15)


def test_unboxed__what_was_clicked_and_not_what_was_confirmed() -> None:
    clicked: list[Any] = [("click", {"labels": ["car"], "point": [1, 2], "answer": "point"})]
    boxed: list[Any] = [("box", {"boxes": [{"box": [0, 0, 9, 9], "label": "car"}], "answer": "yes"})]
    assert unboxed(frame(), [], LABELS, clicked) == 1
    assert unboxed(frame(), [], LABELS, clicked + boxed) == 0
    assert unboxed(frame(tags={"car": "present"}), [], LABELS, boxed) == 0


def test_weighed__the_box_with_the_click_in_its_middle() -> None:
    whole, part, apart = proposal(0.5), proposal(0.6), proposal(0.9, x=200)
    whole.id, part.id, apart.id = 1, 2, 3
    part.x2 = part.y2 = 5.0
    found = {p.id: sure for p, sure in weighed([whole, part, apart], "car", (5.0, 5.0))}
    assert set(found) == {1, 2} and found[1] == pytest.approx(0.8) and found[2] < 0.1
    assert max(weighed([whole, part, apart], "car", (2.5, 2.5)), key=lambda row: row[1])[0] is part
    assert weighed([whole], "bus", (5.0, 5.0)) == weighed([whole], "car", (50.0, 5.0)) == []


def test_options__a_pair_that_is_open() -> None:
    found = options(frame(), [], Known(LABELS, pair=(7, 1.0)))
    assert [q.pair for q in found if q.kind == "pair"] == [7]


def test_options__the_audit_is_reviewed_whole() -> None:
    found = options(frame(selection={"reason": AUDIT_REASON}), [proposal(0.95)], Known(LABELS, pair=(7, 1.0)))
    assert kinds(found) == ["boxes"]


def test_options__nothing_is_asked_twice() -> None:
    first = options(frame(), [proposal(0.95)], Known(LABELS))[0]
    again = options(frame(), [proposal(0.95)], Known(LABELS, done=[(first.kind, first.asked)]))
    assert first.kind not in kinds(again)


def test_options__what_costs_more_is_asked_less() -> None:
    seen = [proposal(0.95), proposal(0.9, x=50)]
    dear = Known(LABELS, costs=Costs(missing=1.0, box=1.0))
    rates = {q.kind: q.rate for q in options(frame(), seen, Known(LABELS, costs=Costs(missing=60.0)))}
    assert {q.kind: q.rate for q in options(frame(), seen, dear)}["missing"] > rates["missing"]


def test_deal__keeps_the_values_and_is_stable() -> None:
    dealt = deal([0.9, 0.5, 0.5], [2, 0, 1])
    assert dealt[2] == 0.9
    assert dealt[2] > dealt[0] > dealt[1]
    assert deal(dealt, [2, 0, 1]) == dealt


async def place(add_frame: Any, count: int = 6) -> list[str]:
    points = np.eye(8, dtype="<f4")
    names = []
    for n in range(count):
        scores = 0.5 if n == 3 else 0.95
        names.append(await add_frame(n, ("car", scores), value=0.9 - n / 10, embedding=points[n].tobytes()))
    return names


@pytest.mark.parametrize("name", sorted(acquisitions()))
def test_arrange__every_strategy_takes_stored_frames(name: str) -> None:
    from central.annotate.asking.choose import candidate

    frames = [frame() for _ in range(5)]
    found = [
        candidate(f, [proposal(0.1 + n / 6)], LABELS, np.eye(5, dtype=np.float32)[n]) for n, f in enumerate(frames)
    ]
    found.append(candidate(frame(), [], LABELS))
    found[-1] = candidate(frame(), [], LABELS, np.zeros(5, np.float32))
    whole = arrange(Pool(found, found[:1], np.full(2, 0.5, np.float32)), [0.5] * 6, name, 3)
    assert sorted(whole) == list(range(6))


async def test_order__the_doubtful_comes_first_and_twice_is_once(db: Any, add_frame: Any) -> None:
    names = await place(add_frame)
    first = await order(db, LABELS, TAGS, "ours")
    async with db.read() as session:
        best = (await queue.waiting(session, 1))[0]
    again = await order(db, LABELS, TAGS, "ours")
    assert best.id == names[3]
    assert (first["frames"], first["changed"], again["changed"]) == (6, 6, 0)


async def test_order__none_keeps_the_order_of_the_nodes(db: Any, add_frame: Any) -> None:
    names = await place(add_frame)
    await order(db, LABELS, TAGS, NONE)
    async with db.read() as session:
        assert [f.id for f in await queue.waiting(session, 9)] == names
        assert len(list(await session.scalars(select(FrameQuestion)))) == 6


async def test_order__the_audit_keeps_its_place(db: Any, add_frame: Any) -> None:
    audit = await add_frame(1, ("car", 0.5), value=0.42, selection={"reason": AUDIT_REASON})
    await add_frame(2, ("car", 0.95), value=0.9)
    await add_frame(3, ("car", 0.5), value=0.1)
    await order(db, LABELS, TAGS, "ours")
    async with db.read() as session:
        assert (await session.get_one(Frame, audit)).value == 0.42


async def test_order__questions_of_labelled_frames_go(db: Any, add_frame: Any) -> None:
    name = await add_frame(1, ("car", 0.5))
    await order(db, LABELS, TAGS, "ours")
    async with db.write() as session:
        await queue.label(session, Answer(name, 0, "ann", []), LABELS)
    await order(db, LABELS, TAGS, "ours")
    async with db.read() as session:
        assert list(await session.scalars(select(FrameQuestion))) == []


async def test_order__unknown_strategy(db: Any, add_frame: Any) -> None:
    await add_frame(1)
    with pytest.raises(SlotError, match="ours"):
        await order(db, LABELS, TAGS, "nix")


async def test_mark__changes_with_frames_labels_and_answers(db: Any, add_frame: Any) -> None:
    async def now() -> str:
        async with db.read() as session:
            return await mark(session)

    marks = [await now()]
    name = await add_frame(1, ("car", 0.5))
    marks.append(await now())
    reply = replies.Reply(name, 0, "ann", "box", "yes", boxes=[LabelBox((1.0, 2.0, 30.0, 40.0), "car")])
    async with db.write() as session:
        await replies.answer(session, reply, replies.Project(LABELS))
    marks.append(await now())
    assert len(set(marks)) == 3
    assert await now() == marks[-1]


async def test_measured__the_median_counts_once_there_are_enough(db: Any, add_frame: Any) -> None:
    name = await add_frame(1)
    async with db.write() as session:
        rows = [("box", 5.0)] * ENOUGH + [("tag", 9.0)] * (ENOUGH - 1)
        for number, (kind, seconds) in enumerate(rows):
            session.add(
                QuestionAnswer(frame=name, revision=number, kind=kind, answer="yes", seconds=seconds, author="ann")
            )
    async with db.read() as session:
        costs = await measured(session)
    assert costs.confirm == pytest.approx(5.0 - costs.look)
    assert (costs.tag, costs.box) == (Costs().tag, Costs().box)


async def test_measured__drawn_boxes_from_whole_reviews(db: Any, add_frame: Any) -> None:
    boxes = [LabelBox((1.0, 2.0, 30.0, 40.0), "car"), LabelBox((40.0, 2.0, 60.0, 40.0), "car")]
    for number in range(ENOUGH):
        name = await add_frame(number)
        async with db.write() as session:
            await queue.label(session, Answer(name, 0, "ann", boxes, seconds=29.0), LABELS)
    async with db.read() as session:
        assert (await measured(session)).box == pytest.approx(10.0)


async def test_auto_review__leaves_frames_alone_of_which_a_person_answered_something(db: Any, add_frame: Any) -> None:
    name = await add_frame(1, ("car", 0.9))
    reply = replies.Reply(name, 0, "ann", "box", "no", boxes=[LabelBox((1.0, 2.0, 30.0, 40.0), "bus")])
    async with db.write() as session:
        await replies.answer(session, reply, replies.Project(LABELS))
    assert await auto.review(db, LABELS, 0.5) == 0


async def test_order__stores_what_answers_cost(db: Any, add_frame: Any) -> None:
    await add_frame(1)
    await order(db, LABELS, TAGS, "ours")
    async with db.read() as session:
        assert await costs_now(session) == Costs()


async def test_freeze__takes_what_single_answers_say(db: Any, add_frame: Any) -> None:
    yes, no = await add_frame(1, ("car", 0.9)), await add_frame(2, ("car", 0.9))
    answers: list[tuple[str, replies.Said]] = [(yes, "yes"), (no, "no")]
    for name, said in answers:
        reply = replies.Reply(name, 0, "ann", "box", said, boxes=[LabelBox((1.0, 2.0, 30.0, 40.0), "car")])
        async with db.write() as session:
            await replies.answer(session, reply, replies.Project(LABELS))
    found = await labelled(db)
    assert [(item.frame, item.labels, item.complete_for) for item in found] == [(yes, ("car",), ())]
