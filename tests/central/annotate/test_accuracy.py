"""What counts for field accuracy, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from central.annotate.accuracy import Counts, Row, by_camera, count, estimate
from central.store.models import Annotation, Frame
from protocols.messages import AUDIT_REASON

KEY = ("n1", "c1", "ab" * 32)
BOX = [10.0, 10.0, 50.0, 50.0]


def frame(**fields: Any) -> Frame:
    chosen = {"keep": True, "probability": 0.2, "reason": "novel", "policy": "budget", "audit": 0.05}
    given: dict[str, Any] = {
        "id": "f", "node": "n1", "camera": "c1", "pack": KEY[2], "state": "labelled", "complete_for": ["car"],
        "labelled_by": "ann", "detections": [{"box": BOX, "label": "car", "score": 0.9}], "annotations": [],
        "selection": chosen | fields.pop("selection", {}),
    }  # fmt: skip
    return Frame(**given | fields)


def box(x: float = 10.0, label: str = "car", confirmed: bool = True) -> Annotation:
    return Annotation(x1=x, y1=10.0, x2=x + 40, y2=50.0, label=label, source="person", confirmed=confirmed)


@pytest.mark.parametrize(
    ("annotations", "complete_for", "expected"),
    [
        ([box()], ["car"], Counts(1, 1, 1)),
        ([box(), box(200.0)], ["car"], Counts(2, 1, 1)),
        ([], ["car"], Counts(0, 0, 1)),
        ([box(200.0)], ["car"], Counts(1, 0, 1)),
        ([box(), box(200.0, "bus")], ["car", "bus"], Counts(2, 1, 1)),
        ([box(), box(200.0, "bus")], ["car"], Counts(1, 1, 1)),  # nobody looked for buses
        ([box(confirmed=False)], ["car"], Counts(0, 0, 1)),
        ([box(label="bus")], ["car", "bus"], Counts(1, 0, 1)),
        ([box()], [], Counts(0, 0, 0)),
    ],
)
def test_count__table(annotations: list[Annotation], complete_for: list[str], expected: Counts) -> None:
    assert count(frame(annotations=annotations, complete_for=complete_for)) == expected


def rows(reviewed: int, waiting: int, audited: int) -> list[Row]:
    """The first `audited` of the reviewed are of the audit."""
    made = [Row(0.2, 0.05, i < audited, False, Counts(2, 2 if i % 2 else 1, 2)) for i in range(reviewed)]
    return made + [Row(0.2, 0.05, False, False, None) for _ in range(waiting)]


@pytest.mark.parametrize(
    ("given", "whole", "basis", "used"),
    [
        (rows(40, 0, 15), True, "all", 40),
        (rows(40, 1, 15), True, "audit", 15),
        (rows(40, 0, 15), False, "audit", 15),
        (rows(40, 1, 0), True, None, 0),
        ([], True, None, 0),
    ],
)
def test_estimate__basis(given: list[Row], whole: bool, basis: str | None, used: int) -> None:
    made = estimate(KEY, given, whole)
    assert (made.basis, made.used, made.stored) == (basis, used, len(given))
    assert (made.found is None) == (used < 10)


def test_estimate__rules_without_chance_are_left_out() -> None:
    certain = [Row(1.0, None, False, False, Counts(2, 1, 2)) for _ in range(40)]
    assert estimate(KEY, certain).used == 0
    assert estimate(KEY, [Row(1.0, None, False, True, Counts(2, 1, 2)) for _ in range(40)]).used == 40


def test_estimate__weighs_by_probability() -> None:
    often = [Row(0.5, 0.05, False, False, Counts(1, 0, 1)) for _ in range(50)]
    seldom = [Row(0.05, 0.05, False, False, Counts(1, 1, 1)) for _ in range(50)]
    made = estimate(KEY, often + seldom)
    assert made.found is not None
    assert made.found.value == pytest.approx(1000 / 1100)


@pytest.mark.parametrize(
    "fields", [{"labelled_by": "nobody"}, {"state": "skipped"}, {"state": "pending"}, {"complete_for": []}]
)
def test_by_camera__what_no_person_looked_through_is_not_reviewed(fields: dict[str, Any]) -> None:
    (made,) = by_camera([frame(annotations=[box()], **fields)])
    assert (made.stored, made.reviewed, made.used) == (1, 0, 0)


def test_by_camera__by_node_camera_and_pack() -> None:
    frames = [frame(node=n, camera=c, selection={"reason": AUDIT_REASON}) for n in "ab" for c in "cd"]
    assert [(a.node, a.camera) for a in by_camera(frames)] == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]
