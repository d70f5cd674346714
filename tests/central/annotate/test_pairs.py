"""Which pairs are asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from central.annotate.pairs import SHARE, USES, Object, Pair, choose, objects
from central.store.models import Frame

BOX = (0.0, 0.0, 50.0, 50.0)


def line(count: int, cameras: int = 4) -> list[Object]:
    """Objects whose blur rises evenly."""
    return [Object(f"f{i:03d}", f"n/c{i % cameras}", BOX, "car", i / count) for i in range(count)]


def gap(pair: Pair) -> float:
    return abs((pair.left.blur or 0.0) - (pair.right.blur or 0.0))


def test_choose__the_least_certain() -> None:
    pairs = choose(line(200), 20)
    assert len(pairs) == 20
    assert max(map(gap, pairs)) <= 0.03
    assert all(a.value >= b.value for a, b in pairwise(pairs))


def test_choose__all_degrees_of_blur_and_no_object_too_often() -> None:
    crowd = [Object(f"g{i:03d}", f"n/c{i % 4}", BOX, "car", 0.5 + i * 1e-6) for i in range(100)]
    pairs = choose([*line(100), *crowd], 30)
    names = [o.frame for p in pairs for o in (p.left, p.right)]
    dense = sum(p.left.frame.startswith("g") and p.right.frame.startswith("g") for p in pairs)
    assert dense < len(pairs)
    assert max(map(names.count, names)) <= USES
    assert len({int((p.left.blur or 0) * 10) for p in pairs}) >= 1 / SHARE


def test_choose__only_alike_and_of_two_frames() -> None:
    small, large = line(2)[0], replace(line(2)[1], box=(0, 0, 90, 90))
    person = replace(line(2)[1], label="person")
    same = replace(small, box=(1, 1, 51, 51))
    assert choose([small, large], 5) == choose([small, person], 5) == choose([small, same], 5) == []


def test_choose__not_again() -> None:
    two = line(2)
    assert len(choose(two, 5)) == 1
    assert choose(two, 5, {frozenset(o.frame for o in two)}) == []


def test_choose__without_a_blur_head() -> None:
    pairs = choose([replace(o, blur=None) for o in line(10)], 3)
    assert len(pairs) == 3
    assert {p.reason for p in pairs} == {"no blur score yet"}


def test_choose__sides_tell_nothing() -> None:
    pairs = choose(line(400, 8), 100)
    sharper_left = sum((p.left.blur or 0) < (p.right.blur or 0) for p in pairs)
    assert 0.3 < sharper_left / len(pairs) < 0.7


def test_objects__large_and_sure_enough() -> None:
    detections = [
        {"box": [0, 0, 50, 50], "label": "car", "score": 0.9, "blur": 0.1},
        {"box": [0, 0, 20, 50], "label": "car", "score": 0.9, "blur": 0.1},
        {"box": [0, 0, 50, 50], "label": "car", "score": 0.2, "blur": 0.1},
        {"box": [620, 0, 700, 50], "label": "car", "score": 0.9, "blur": None},
    ]
    frame = Frame(id="f", node="n", camera="c", width=640, height=360, detections=detections)
    assert [o.blur for o in objects([frame])] == [0.1]
