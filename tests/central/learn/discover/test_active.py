"""What is asked next: pairs of part and whole, and gain per second."""

from __future__ import annotations

import numpy as np
import pytest

from central.annotate.asking import Costs
from central.learn.discover.active.ask import image_rate, queries
from central.learn.discover.active.pairs import Detected, choose, coverage, pairs
from central.learn.discover.active.simulate import chosen, detected, entropy, missing
from central.learn.discover.fit import Judged

WHOLE, PART = [0.0, 0.0, 40.0, 40.0], [5.0, 5.0, 20.0, 20.0]


def image(boxes: list[list[float]], classes: list[int] | None = None, present: set[int] | None = None,
          scores: list[float] | None = None, seed: int = 0) -> Detected:  # fmt: skip
    count = len(boxes)
    features = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return Detected(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores or [0.9] * count, np.float32),
        np.array(classes or [0] * count, np.int64), features, frozenset(present or {0}),
    )  # fmt: skip


def test_coverage__is_of_the_small_box_not_the_iou() -> None:
    found = coverage(np.array([PART], np.float32), np.array([WHOLE], np.float32))
    assert found.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("found", "count"),
    [
        (image([WHOLE, PART]), 1),
        (image([WHOLE, PART], classes=[0, 1], present={0, 1}), 0),
        (image([WHOLE, PART], present={1}), 0),
        (image([WHOLE, PART], scores=[0.9, 0.05]), 0),
        (image([WHOLE, [0, 0, 40, 20]]), 0),
        (image([WHOLE, [30, 30, 48, 48]]), 0),
        (image([]), 0),
    ],
    ids=["part in whole", "other class", "absent class", "weak", "not three times as large", "half outside", "none"],
)
def test_pairs__by_the_rule(found: Detected, count: int) -> None:
    assert len(pairs(found)) == count


def test_pairs__small_one_first() -> None:
    assert pairs(image([WHOLE, PART])).tolist() == [[1, 0]]


def test_choose__retrieves_planted_parts() -> None:
    random = np.random.default_rng(3)
    images = {}
    for place in range(60):
        boxes = [(start := random.uniform(0, 60, 2), [*start, *(start + random.uniform(20, 30, 2))])[1]]
        if place % 4 == 0:
            x, y = boxes[0][:2]
            boxes.append([x + 2, y + 2, x + 10, y + 10])
        images[place] = image([list(map(float, b)) for b in boxes], seed=place)
    found = choose(images, 15, random)
    assert len(set(found)) == 15
    assert np.mean([place % 4 == 0 for place in found]) >= 0.9


def test_choose__first_has_most_pairs_and_none_twice() -> None:
    images = {0: image([WHOLE, PART], seed=1), 1: image([WHOLE, PART, [6, 6, 18, 18], [20, 20, 30, 30]], seed=2)}
    assert choose(images, 1, np.random.default_rng(0)) == [1]
    assert choose(images, 5, np.random.default_rng(0), before=[1]) == [0]


def test_choose__without_pairs_is_nothing() -> None:
    assert choose({0: image([WHOLE])}, 3, np.random.default_rng(0)) == []


def test_queries__a_sure_box_is_asked_by_yes_a_missing_one_by_click() -> None:
    costs = Costs()
    assert queries({0: (4, 0.6)}, frozenset({0}), costs)[0].kind == "confirm"
    assert queries({}, frozenset({0}), costs)[0].kind == "click"
    assert all(q.label == 0 for q in queries({0: (4, 0.6), 1: (2, 0.9)}, frozenset({0}), costs))


def test_queries__a_box_wins_where_it_costs_no_more_than_a_click() -> None:
    assert queries({}, frozenset({0}), Costs(box=2.0))[0].kind == "box"


def test_image_rate__doubt_is_worth_more_than_certainty() -> None:
    sure, doubtful = (image_rate(queries({0: (0, p)}, frozenset({0}))) for p in (0.99, 0.5))
    assert doubtful > sure > 0
    assert image_rate([]) == 0


def judged(scores: list[list[float]]) -> Judged:
    table = np.array(scores, np.float32)
    boxes = np.array([[10.0 * i, 0, 10.0 * i + 8, 8] for i in range(len(table))], np.float32)
    return Judged(boxes, table, table.max(0), table, boxes)


def test_missing__a_present_class_that_no_box_shows() -> None:
    found = judged([[0.9, 0.1], [0.2, 0.05]])
    assert missing(found, np.array([1, -1], np.int8)) == pytest.approx(0.1, abs=1e-6)
    assert missing(found, np.array([1, 1], np.int8)) == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("way", ["ours", "pairs", "entropy", "random"])
def test_chosen__as_many_as_asked_for_and_none_twice(way: str) -> None:
    said = [judged([[0.1 * (i % 9), 0.2]]) for i in range(20)]
    labels = np.ones((20, 2), np.int8)
    seen = {p: detected(j, np.zeros((1, 3), np.float32), labels[p]) for p, j in enumerate(said)}
    found = chosen(way, seen, said, labels, 10, np.random.default_rng(0))
    assert len(found) == len(set(found)) == 10


def test_entropy__of_even_odds_is_largest() -> None:
    assert entropy(judged([[0.5]])) > entropy(judged([[0.9]])) > entropy(judged([[0.999]]))
