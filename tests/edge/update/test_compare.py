"""What two packs saw in the same frames, counted."""

from __future__ import annotations

import pytest

from edge.update.compare import ENOUGH, Comparison, Seen, matches, verdict
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


MANY = {"frames": 20, "boxes_before": ENOUGH, "boxes_after": ENOUGH}


@pytest.mark.parametrize(
    ("shadow", "said"),
    [
        (Shadow(frames=0), ""),
        (Shadow(**MANY, agreement=0.9, latency_before_ms=10, latency_after_ms=24), ""),
        (Shadow(**MANY, agreement=0.9, latency_before_ms=10, latency_after_ms=30), "3.0 times as slow"),
        (Shadow(**MANY, agreement=0.1), "agreement 0.10, 0.2 wanted"),
        (Shadow(frames=20, boxes_before=ENOUGH, boxes_after=0, agreement=0.0), "0 boxes where the pack before had 20"),
        (Shadow(frames=20, boxes_before=3, boxes_after=0, agreement=0.0), ""),
    ],
)
def test_verdict(shadow: Shadow, said: str) -> None:
    found = verdict(shadow, 2.5, 0.2)
    assert said in found
    assert bool(found) == bool(said)
