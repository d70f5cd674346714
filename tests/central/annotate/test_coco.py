"""COCO in and out."""

from __future__ import annotations

import json
import tracemalloc
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
    assert FORMAT.read(tmp_path / "x.json").loaded() == dataset


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
    (picture,) = FORMAT.read(tmp_path / "x.json").pictures
    assert picture.complete_for == ("car",)


@pytest.mark.parametrize("given", [{"bbox": [0, 0, 0, 5]}, {"bbox": [0, 0, 5, 5], "iscrowd": 1}])
def test_read__leaves_out(tmp_path: Path, given: dict[str, Any]) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco(annotations=[{"id": 1, "image_id": 1, "category_id": 3} | given])))
    (picture,) = FORMAT.read(tmp_path / "x.json").pictures
    assert picture.boxes == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not JSON of this kind"),
        ("[]", "not JSON of this kind"),
        ("{}", "it has no 'images'"),
        (json.dumps(coco())[:-1], "its end"),
        (json.dumps(coco()) + "{}", "more after its end"),
        (json.dumps(coco(images=7)), "'images' is no list"),
        (json.dumps(coco(images=coco()["images"] * 2)), "two images have the id 1"),
        (json.dumps(coco(categories=[{"id": 2**63, "name": "a"}])), "categories"),
        (json.dumps(coco(images=[{"id": 2**63, "file_name": "a", "width": 1, "height": 1}])), "images"),
        (json.dumps(coco(categories=[{"id": 1, "name": "\ud800"}])), "control characters"),
        ("[" * 100_000, "not JSON of this kind"),
        ('{"images": ' + "[" * 100_000, "not JSON of this kind"),
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


def test_read__any_order_any_letters_and_a_mark(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"h\u00e4fen/\u6e2f{n}.jpg", "width": 90, "height": 90} for n in (7, 3, 5)]
    found = [{"id": n, "image_id": (3, 7)[n % 2], "category_id": 3, "bbox": [n, n, 9, 9]} for n in range(5)]
    parts = coco(images=images, annotations=found)
    text = json.dumps(
        {key: parts[key] for key in ("annotations", "categories", "images")}, ensure_ascii=False, indent=1
    )
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    pictures = FORMAT.read(tmp_path / "x.json").loaded().pictures
    assert [(p.name[-5], [b.box[0] for b in p.boxes]) for p in pictures] == [("7", [1, 3]), ("3", [0, 2, 4]), ("5", [])]


def test_read__changed_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco()))
    dataset = FORMAT.read(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FormatError, match="changed while it was read"):
        dataset.loaded()


def test_large_set__outlines_are_not_held_in_memory(tmp_path: Path) -> None:
    ring = [float(n) for n in range(4000)]
    found = [{"id": n, "image_id": 1 + n % 100, "category_id": 3, "bbox": [1, 1, 9, 9], "segmentation": [ring]}
             for n in range(400)]  # fmt: skip
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 10, "height": 10} for n in range(1, 101)]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(coco(images=images, annotations=found)))
    tracemalloc.start()
    assert sum(len(p.boxes) for p in FORMAT.read(path).pictures) == 400
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 9_000_000
    assert peak < path.stat().st_size
