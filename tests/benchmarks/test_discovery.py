"""What the benchmark of discovery makes of its parts."""

from __future__ import annotations

import pytest

from benchmarks.discovery import acceptance, arguments, summary

PARTS = {
    "full/0": {"ap50": 0.4}, "full/1": {"ap50": 0.5}, "tags/0": {"corloc": 0.6, "ap50": 0.2},
    "tags/1": {"corloc": 0.7, "ap50": 0.4}, "streams/0": {"corloc": 0.5},
}  # fmt: skip


def test_summary__shares_are_of_the_same_seed() -> None:
    rows = summary(PARTS)
    assert rows["tags"]["ap50_share"]["values"] == pytest.approx([50, 80])
    assert rows["tags"]["corloc"]["mean"] == pytest.approx(65)
    assert rows["tags"]["corloc"]["std"] == pytest.approx(5)
    assert rows["full"]["ap50_share"]["mean"] == pytest.approx(100)
    assert rows["streams"]["corloc"]["seeds"] == 1 and "ap50_share" not in rows["streams"]


def test_acceptance__what_was_not_measured_is_none() -> None:
    found = acceptance(summary(PARTS))
    assert found["localisation"]["over_streams"] == pytest.approx(15)
    assert found["localisation"]["over_maps"] is None
    assert found["active"]["over_random"] is None


def test_arguments__paths_of_ones_own() -> None:
    found = arguments().parse_args(
        ["--cache", "c", "--images", "i", "--coco", "t.json", "--test-images", "j", "--test-coco", "v.json"]
    )
    assert (str(found.images), str(found.coco), str(found.test_coco)) == ("i", "t.json", "v.json")
