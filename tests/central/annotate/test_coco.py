"""COCO in and out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from central.annotate.boxes import LabelBox
from central.annotate.formats import Dataset, FormatError, Picture, kinds
from central.annotate.formats.coco import FORMAT

PICTURES = (
    Picture(
        "a/1.jpg", 100, 50, (LabelBox((1, 2, 30, 40), "car"), LabelBox((0, 0, 5, 5), "bus", 0.5)), ("car",), camera="a"
    ),
    Picture("a/2.jpg", 100, 50, (), (), labelled=False, index=7),
)


def test_round_trip(tmp_path: Path) -> None:
    dataset = Dataset(("car", "bus"), PICTURES)
    FORMAT.write(dataset, tmp_path / "x.json")
    assert FORMAT.read(tmp_path / "x.json") == dataset


def test_family() -> None:
    assert "coco" in kinds()


def test_write__plain_coco(tmp_path: Path) -> None:
    FORMAT.write(Dataset(("car", "bus"), PICTURES), tmp_path / "x.json")
    file = json.loads((tmp_path / "x.json").read_text())
    assert file["annotations"][0] == {
        "id": 1, "image_id": 1, "category_id": 1, "bbox": [1.0, 2.0, 29.0, 38.0], "area": 1102.0, "iscrowd": 0,
        "segmentation": [],
    }  # fmt: skip


def coco(**parts: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 10, "height": 10}],
        "annotations": [],
        "categories": [{"id": 3, "name": "car"}],
    } | parts


def test_read__foreign_file_is_complete(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco(info={}, licenses=[])))
    assert FORMAT.read(tmp_path / "x.json").pictures[0].complete_for == ("car",)


@pytest.mark.parametrize("given", [{"bbox": [0, 0, 0, 5]}, {"bbox": [0, 0, 5, 5], "iscrowd": 1}])
def test_read__leaves_out(tmp_path: Path, given: dict[str, Any]) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco(annotations=[{"id": 1, "image_id": 1, "category_id": 3} | given])))
    assert FORMAT.read(tmp_path / "x.json").pictures[0].boxes == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a COCO file"),
        ("[]", "not a COCO file"),
        ("{}", "not a COCO file"),
        ("[" * 100_000, "not a COCO file"),
        (
            json.dumps(coco(annotations=[{"id": 1, "image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]}])),
            "annotation 1",
        ),
        (
            json.dumps(coco(annotations=[{"id": 1, "image_id": 1, "category_id": 9, "bbox": [0, 0, 1, 1]}])),
            "annotation 1",
        ),
        (json.dumps(coco(annotations=[{"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 1]}])), "bbox"),
    ],
)
def test_read__refuses_in_one_line(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(FormatError) as caught:
        FORMAT.read(tmp_path / "x.json")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read__missing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="No such file"):
        FORMAT.read(tmp_path / "nix.json")
