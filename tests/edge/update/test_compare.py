"""What two packs saw in the same frames, counted."""

from __future__ import annotations

import pytest

from edge.update.compare import ENOUGH, Comparison, Seen, matches
from protocols.messages import Shadow

A, B, FAR = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 9.0), (50.0, 50.0, 60.0, 60.0)


def seen(*boxes: tuple[float, float, float, float], score: float = 0.5, label: str = "car", ms: float = 10.0) -> Seen:
    return Seen(ms, list(boxes), [score] * len(boxes), [label] * len(boxes))


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        (seen(), seen(), 0),
        (seen(A), seen(), 0),
        (seen(A), seen(B), 1),
        (seen(A), seen(FAR), 0),
        (seen(A), seen(A, label="bus"), 0),
        (seen(A, FAR), seen(FAR, A), 2),
        (seen(A), seen(A, B), 1),
        (seen(A, B), seen(A), 1),
    ],
)
def test_matches(before: Seen, after: Seen, count: int) -> None:
    assert matches(before, after) == count


def test_report__by_camera_and_in_all() -> None:
    made = Comparison()
    made.add("a", seen(A, FAR, ms=10), seen(A, ms=30, score=0.7))
    made.add("b", seen(ms=12), seen(ms=20))
    made.add("b", seen(ms=14), seen(ms=21))
    found = made.report()
    assert (found.frames, found.boxes_before, found.boxes_after) == (3, 2, 1)
    assert found.agreement == pytest.approx(2 / 3)
    assert found.score_shift == pytest.approx(0.2)
    assert (found.latency_before_ms, found.latency_after_ms) == (12, 21)
    assert [(c.camera, c.frames, c.agreement) for c in found.cameras] == [
        ("a", 1, pytest.approx(2 / 3)),
        ("b", 2, None),
    ]


def test_report__nothing_to_compare() -> None:
    assert Comparison().report() == Shadow(frames=0)


@pytest.mark.parametrize(
    ("before", "after", "known", "said"),
    [
        (seen(A), seen(A), None, ""),
        (seen(A, ms=10), seen(A, ms=24), None, ""),
        (seen(A, ms=10), seen(A, ms=30), None, "3.0 times as slow"),
        (seen(A), seen(), None, "it sees 0 of 20 boxes"),
        (seen(A), seen(A, label="bus"), None, "it sees 0 of 20 boxes"),
        (seen(A), seen(FAR, label="bus"), frozenset({"bus"}), ""),
        (seen(A, score=0.4), seen(), None, ""),
        (seen(), seen(A, FAR), None, ""),
    ],
)
def test_verdict(before: Seen, after: Seen, known: frozenset[str] | None, said: str) -> None:
    made = Comparison(known)
    for _ in range(ENOUGH):
        made.add("a", before, after)
    found = made.verdict(2.5, 0.2)
    assert said in found
    assert bool(found) == bool(said)


def test_verdict__too_little_to_tell() -> None:
    made = Comparison()
    made.add("a", seen(A), seen())
    assert made.verdict(2.5, 0.2) == ""
