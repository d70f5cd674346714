"""What the demo's conductor takes for an improvement."""

from __future__ import annotations

import pytest

from central.api.schemas import RoundView
from central.demo.conductor import worth_releasing


def round_view(frames: int, before: float | None, after: float | None, state: str = "done") -> RoundView:
    return RoundView.model_validate(
        {"id": "r1", "state": state, "frames": frames, "pack": "0" * 64, "ap50_before": before, "ap50_after": after}
    )


@pytest.mark.parametrize(
    ("frames", "before", "after", "worth"),
    [
        (200, 0.60, 0.70, True),
        (200, 0.60, 0.59, True),
        (200, 0.60, 0.55, False),
        (20, 0.99, 0.80, True),
        (20, 0.99, 0.20, False),
        (200, None, None, True),
    ],
)
def test_worth_releasing(frames: int, before: float | None, after: float | None, worth: bool) -> None:
    assert worth_releasing(round_view(frames, before, after)) is worth


def test_worth_releasing__held_by_a_gate() -> None:
    view = round_view(200, 0.1, 0.9)
    assert worth_releasing(view.model_copy(update={"offered": True}))
    assert not worth_releasing(view.model_copy(update={"offered": False}))


def test_worth_releasing__failed() -> None:
    assert not worth_releasing(round_view(200, 0.1, 0.9, "failed"))
