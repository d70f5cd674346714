"""Agreement of people, verdicts on proposals, and what scores are worth."""

from __future__ import annotations

from itertools import pairwise

import pytest

from central.annotate import second, sources
from central.annotate.agreement import Both, compare, kappa
from central.annotate.boxes import LabelBox
from central.annotate.verdicts import judge
from central.store.models import Annotation

CAR = LabelBox((0, 0, 10, 10), "car")
NEAR = LabelBox((1, 0, 11, 10), "car")
FAR = LabelBox((50, 50, 60, 60), "car")


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [
        ([("a", "a"), ("b", "b")], 1.0),
        ([("a", "b"), ("b", "a")], -1.0),
        ([("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")], 0.0),
        ([("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15, 0.4),
        ([("a", "a")], None),
        ([], None),
    ],
)
def test_kappa__known_values(ratings: list[tuple[str, str]], expected: float | None) -> None:
    assert kappa(ratings) == (None if expected is None else pytest.approx(expected))


def test_compare__boxes_and_tags() -> None:
    frames = [
        Both(("ann", "bob"), ([CAR], [NEAR]), ({"night": "absent"}, {"night": "absent"})),
        Both(("ann", "bob"), ([CAR, FAR], [NEAR]), ({"night": "present"}, {"night": "absent", "rain": "absent"})),
        Both(("ann", "bob"), ([], []), ({}, {})),
    ]
    box, tag = compare(frames)
    assert (box.name, box.both, box.first, box.second, len(box.ratings)) == ("car", 2, 1, 0, 3)
    assert box.f1 == pytest.approx(0.8) and box.mean_iou == pytest.approx(9 / 11) and box.kappa == 1.0
    assert (tag.name, tag.kind, tag.kappa, tag.f1, len(tag.ratings)) == ("night", "tag", 0.0, None, 2)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([CAR], [NEAR], True),
        ([CAR], [FAR], False),
        ([CAR], [], False),
        ([CAR], [LabelBox(NEAR.box, "bus")], False),
        ([], [], True),
    ],
)
def test_agree__boxes(one: list[LabelBox], other: list[LabelBox], same: bool) -> None:
    assert second.agree(one, other, {}, {}) is same


def test_agree__tags() -> None:
    assert second.agree([], [], {"night": "present"}, {"rain": "absent"})
    assert not second.agree([], [], {"night": "present"}, {"night": "absent"})


def test_drawn__share_of_frames() -> None:
    names = [f"frame-{i}" for i in range(2000)]
    assert 0.07 < sum(second.drawn(n, 0.1) for n in names) / len(names) < 0.13
    assert not any(second.drawn(n, 0.0) for n in names)
    assert all(second.drawn(n, 1.0) for n in names)


def proposal(number: int, box: LabelBox, source: str = "pack") -> Annotation:
    x1, y1, x2, y2 = box.box
    return Annotation(id=number, x1=x1, y1=y1, x2=x2, y2=y2, label=box.label, source=source, score=0.5)


@pytest.mark.parametrize(
    ("boxes", "complete", "outcomes"),
    [
        ([CAR], ["car"], ["kept"]),
        ([NEAR], [], ["moved"]),
        ([LabelBox(CAR.box, "bus")], [], ["relabelled"]),
        ([LabelBox(FAR.box, "car", origin="7")], [], ["moved"]),
        ([FAR], ["car"], ["deleted"]),
        ([FAR], [], []),
        ([CAR, NEAR], ["car"], ["kept"]),
        ([LabelBox(CAR.box, "car", origin="no such proposal")], [], ["kept"]),
    ],
)
def test_judge__one_proposal(boxes: list[LabelBox], complete: list[str], outcomes: list[str]) -> None:
    judged = judge(boxes, [proposal(7, CAR)], complete)
    assert [v.outcome for v in judged.verdicts] == outcomes
    assert len(judged.origins) == len(boxes)


def test_judge__each_proposal_once() -> None:
    judged = judge([CAR, NEAR], [proposal(1, CAR), proposal(2, NEAR, "track")], [])
    assert [(v.source, v.outcome) for v in judged.verdicts] == [("pack", "kept"), ("track", "kept")]


def test_curve__rises_and_needs_enough() -> None:
    one = sources.Source("pack", "car")
    for part, (count, right) in zip(one.parts, [(10, 1), (10, 5), (10, 3), (10, 9), *[(0, 0)] * 6], strict=True):
        part.proposed, part.right = count, right
    curve = one.curve()
    assert curve is not None
    assert all(a <= b for a, b in pairwise(curve))
    assert curve[1] == curve[2]
    assert sources.confidence(curve, 0.0) == curve[0] and sources.confidence(curve, 1.0) == curve[-1]
    assert curve[0] < sources.confidence(curve, 0.1) < curve[1]
    assert sources.Source("pack", "bus").curve() is None
