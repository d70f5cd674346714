"""What counts as a box."""

from __future__ import annotations

import pytest

from central.annotate.boxes import MAX_BOXES, LabelBox, LabelError, check, clip
from protocols.messages import Box

KNOWN = ("car", "bus")


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ((-2, -2, 102, 52), (0, 0, 100, 50)),
        ((0, 0, 100, 50), (0, 0, 100, 50)),
        ((-2.1, 0, 5, 5), None),
        ((0, 0, 5, 52.1), None),
        ((5, 5, 5, 9), None),
        ((9, 9, 5, 5), None),
        ((101, 1, 102, 2), None),
        ((float("nan"), 0, 5, 5), None),
    ],
)
def test_clip(box: Box, expected: Box | None) -> None:
    assert clip(box, 100, 50) == expected


@pytest.mark.parametrize(
    ("boxes", "code"),
    [
        ([LabelBox((1, 1, 2, 2), "cat")], "unknown_label"),
        ([LabelBox((1, 1, 2, 2), "car"), LabelBox((1, 1, 1, 2), "car")], "bad_box"),
        ([LabelBox((1, 1, 2, 2), "car")] * (MAX_BOXES + 1), "too_many_boxes"),
    ],
)
def test_check__refuses(boxes: list[LabelBox], code: str) -> None:
    with pytest.raises(LabelError) as caught:
        check(boxes, 100, 50, KNOWN)
    assert caught.value.code == code


def test_check__names_the_first_bad_box() -> None:
    with pytest.raises(LabelError, match=r"box 1 \(90, 1, 120, 2\) is outside the 100 x 50 frame"):
        check([LabelBox((1, 1, 2, 2), "car"), LabelBox((90, 1, 120, 2), "car")], 100, 50, KNOWN)
