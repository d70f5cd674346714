"""A person's time: what is spent, what is answered, and when a share of the whole is reached."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.discovery import arguments
from benchmarks.discovery_report import summary
from benchmarks.discovery_time import COST, METHODS, Person, ask, curves, named, told_at, wanted
from central.learn.discover.active.ask import Query
from central.learn.discover.evaluate import Truth
from central.learn.discover.fit import Judged

TRUTH = [
    Truth(np.array([[0, 0, 40, 40], [60, 60, 80, 80]], np.float32), np.array([0, 1])),
    Truth(np.array([[10, 10, 50, 50]], np.float32), np.array([0])),
]
LABELS = np.array([[1, 1], [1, -1]], np.int8)
BOXES = np.array([[0, 0, 40, 38], [0, 0, 12, 12]], np.float32)


def said(*scores: tuple[float, float]) -> Judged:
    table = np.array(scores, np.float32)
    return Judged(BOXES, table, table.max(0), table, BOXES)


def person() -> Person:
    return Person(TRUTH, np.random.default_rng(0))


def test_draw__until_the_time_is_spent() -> None:
    own = person()
    assert own.whole() == pytest.approx(2 * COST.look + 3 * COST.box)
    own.draw([0, 1], own.image(0) + 1)
    assert list(own.drawn) == [0] and own.spent == own.image(0)


def test_tag__what_there_was_no_time_for_is_unknown() -> None:
    own = person()
    found = own.tag(LABELS, COST.look + 2 * COST.tag)
    assert sorted((found != 0).any(1).tolist()) == [False, True]
    assert own.spent <= COST.look + 2 * COST.tag
    assert (person().tag(LABELS, 1e9) == LABELS).all()


def test_answer__yes_no_and_a_click_inside_the_largest() -> None:
    own, judged = person(), said((0.9, 0.1), (0.2, 0.8))
    own.answer(0, Query("confirm", 0, 0, 1.8, 0.5), judged)
    own.answer(0, Query("confirm", 1, 1, 1.8, 0.5), judged)
    own.answer(1, Query("click", 0, 0, 2.5, 0.5), judged)
    assert own.hints[0].right == ((0, (0.0, 0.0, 40.0, 38.0)),) and own.hints[0].wrong[0][0] == 1
    (label, (x, y)), = own.hints[1].clicks
    assert label == 0 and 10 <= x <= 50 and 10 <= y <= 50


def test_wanted__nothing_twice_and_nothing_of_images_that_are_drawn() -> None:
    own, judged = person(), [said((0.9, 0.1), (0.2, 0.3)), said((0.5, 0.1), (0.2, 0.1))]
    kinds = {(place, q.label, q.kind) for _, place, rows in wanted(own, judged, LABELS) for q in rows}
    assert {(place, label) for place, label, _ in kinds} == {(0, 0), (0, 1), (1, 0)}
    ask(own, judged, LABELS, 1e9)
    assert own.spent > 0 and not kinds & {
        (place, q.label, q.kind) for _, place, rows in wanted(own, judged, LABELS) for q in rows
    }
    own.draw([0, 1], 1e9)
    assert wanted(own, judged, LABELS) == []


def test_ask__stops_in_time() -> None:
    own = person()
    ask(own, [said((0.9, 0.1), (0.2, 0.3))] * 2, LABELS, COST.look)
    assert own.spent == 0 and own.hints == {}


@pytest.mark.parametrize(
    ("points", "expected"),
    [([(1.0, 0.5), (3.0, 1.0)], 2.6), ([(1.0, 0.95)], 1.0), ([(1.0, 0.5)], None), ([], None),
     ([(3.0, 0.7), (2.0, 0.8), (4.0, 0.9)], 4.0)],
    ids=["between", "at once", "never", "nothing", "not rising"],
)  # fmt: skip
def test_told_at__when_nine_tenths_are_reached(points: list[tuple[float, float]], expected: float | None) -> None:
    assert told_at(points) == (None if expected is None else pytest.approx(expected))


def test_curves__hours_as_a_share_of_drawing_every_box() -> None:
    time = {"full_hours": 10.0}
    parts = {
        "full/0": {"ap50": 0.5}, "mixed10/0": {"ap50": 0.4, "hours": 1.0, **time},
        "mixed20/0": {"ap50": 0.5, "hours": 2.0, **time}, "drawn50/0": {"ap50": 0.4, "hours": 5.0, **time},
    }  # fmt: skip
    found = curves(parts, summary(parts))
    assert found["mixed"]["share_of_full"] == pytest.approx(0.15)
    assert found["drawn"]["hours"] is None and found["drawn"]["points"] == [(5.0, 0.8)]


def test_named__budgets_in_percent_and_no_other_method() -> None:
    assert named("mixed25") == ("mixed", 0.25)
    assert [named(n) for n in ("tags", "active10", "mixed")] == [None] * 3
    assert arguments().parse_args(["--cache", "c", "--only", "tracks", *METHODS]).only[0] == "tracks"
    assert "mixed25" not in arguments().parse_args(["--cache", "c"]).only
