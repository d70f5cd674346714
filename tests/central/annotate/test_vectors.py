"""Files that other tools' own libraries wrote (see ``interop/make.py``), as our readers see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from central.annotate.formats import kinds

VECTORS = Path(__file__).parents[2] / "vectors" / "formats"
ONE = {"car": (4, 5, 24, 15), "bus": (30.5, 6.25, 43, 26.25)}
OUTLINE = [10, 10, 30, 10, 30, 30]
BOX = ("car", 10, 10, 30, 30)


@pytest.mark.parametrize(
    ("folder", "form", "outlines", "tags"),
    [
        ("coco/instances_train.json", "coco", True, {}),
        ("cvat/train.xml", "cvat", True, {"rain": "present"}),
        ("cvat", "cvat", True, {"rain": "present"}),
        ("datumaro", "datumaro", True, {"rain": "present"}),
        ("label-studio/tasks.json", "label-studio", True, {}),
        ("voc", "voc", False, {}),
        ("yolo", "yolo", False, {}),
        ("yolo-ultralytics", "yolo", False, {}),
    ],
)
def test_read__what_the_tool_wrote(folder: str, form: str, outlines: bool, tags: dict[str, str]) -> None:
    dataset = kinds()[form].read(VECTORS / folder).loaded()
    found = {Path(p.name).stem: p for p in dataset.pictures}
    assert set(found) == {"one", "two", "empty"}
    assert all((p.width, p.height) == (64, 48) for n, p in found.items() if n != "empty")
    assert sorted(b.label for b in found["one"].boxes) == ["bus", "car"]
    for box in found["one"].boxes:
        assert box.box == pytest.approx(ONE[box.label], abs=0.01)
    assert {(b.label, *(round(v, 2) for v in b.box)) for b in found["two"].boxes} == {BOX}
    rings = [b.mask for b in found["two"].boxes if b.mask]
    assert bool(rings) is outlines
    if rings:
        assert [round(v, 2) for point in rings[0][0] for v in point] == OUTLINE
    assert found["two"].tags == tags
    assert found["empty"].boxes == ()
    assert {"car", "bus"} <= set(dataset.labels)
    assert not dataset.left_out


def test_read__foreign_set_is_complete() -> None:
    dataset = kinds()["cvat"].read(VECTORS / "cvat").loaded()
    assert all(p.complete_for == dataset.labels for p in dataset.pictures)
