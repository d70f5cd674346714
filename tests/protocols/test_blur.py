"""The curve from blur scores to lost AP50."""

from __future__ import annotations

import pytest

from protocols.blur import MAX_BLUR, BlurTable, Curve, decode, encode
from protocols.pack import PackError


def test_decode__what_was_encoded() -> None:
    table = BlurTable(tiles=Curve(score=[0.1, 0.5], lost=[0.0, 40.0]), images=7, about="as measured")
    assert decode(encode(table)) == table


@pytest.mark.parametrize(("score", "lost"), [(0.0, 0.0), (0.1, 0.0), (0.3, 20.0), (0.5, 40.0), (2.0, 40.0)])
def test_curve__is_straight_between_points(score: float, lost: float) -> None:
    assert Curve(score=[0.1, 0.5], lost=[0.0, 40.0]).at(score) == pytest.approx(lost)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b'{"tiles": 3}', b'{"tiles": {"score": [], "lost": []}}',
        b'{"tiles": {"score": [1, 1], "lost": [0, 1]}}', b'{"dense": {"score": [1, 2], "lost": [0]}}',
        b"{" + b" " * MAX_BLUR + b"}",
    ],
)  # fmt: skip
def test_decode__what_is_no_table_is_refused(data: bytes) -> None:
    with pytest.raises(PackError, match=r"blur\.json"):
        decode(data)
