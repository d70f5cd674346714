"""Our files read by other tools' own libraries, and theirs by us: each library in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from central.annotate.boxes import LabelBox
from central.annotate.formats import Dataset, Picture, kinds
from central.annotate.formats.labelstudio import config

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
RING = ((10.0, 10.0), (30.0, 10.0), (30.0, 30.0))
PICTURES = (
    Picture(
        "one.jpg", 64, 48, (LabelBox((4, 5, 24, 15), "car"), LabelBox((30.5, 6.25, 43, 26.25), "bus")), ("car", "bus")
    ),
    Picture("two.jpg", 64, 48, (LabelBox((10, 10, 30, 30), "car", None, (RING,)),), ("car",), tags={"rain": "present"}),
    Picture("empty.jpg", 64, 48, (), ("car", "bus")),
)  # fmt: skip
BOXES = sorted([["car", 4, 5, 24, 15], ["bus", 30.5, 6.25, 43, 26.25]])


def near(boxes: list[list[Any]]) -> list[list[Any]]:
    """Return `boxes` with sides that may be a hundredth of a pixel off."""
    return [[label, *(pytest.approx(v, abs=0.02) for v in sides)] for label, *sides in boxes]


def tool(library: str, *words: Any) -> Any:
    """Run the tool of `library` and return what it says; without its environment the test skips."""
    root = os.environ.get("WAYSIDE_INTEROP", "")
    python = Path(root) / library / "bin" / "python"
    if not root or not python.exists():
        pytest.skip(f"no environment of {library}; see tests/central/annotate/interop/make.py")
    script = HERE / f"{library.removesuffix('-sdk').replace('-', '')}_tool.py"
    done = subprocess.run([python, script, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def written(name: str, folder: Path) -> Path:
    """Return where our files of format `name` lie, with images of the right size beside them."""
    form = kinds()[name]
    files = {"coco": "annotations/instances_default.json", "cvat": "default.xml", "label-studio": "tasks.json"}
    path = folder / files.get(name, "")
    path.parent.mkdir(parents=True, exist_ok=True)
    images = folder / (form.images or ("images/default" if name == "coco" else "images"))
    images.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        cv2.imwrite(str(images / picture.name), np.full((picture.height, picture.width, 3), 127, np.uint8))
    form.write(Dataset(("car", "bus"), PICTURES, ("rain",)), path)
    return path


@pytest.mark.parametrize(
    ("ours", "theirs", "outlines"),
    [
        ("coco", "coco", True), ("cvat", "cvat", True), ("datumaro", "datumaro", True), ("voc", "voc", False),
        ("yolo", "yolo", False),
    ],
)  # fmt: skip
def test_datumaro__reads_ours(ours: str, theirs: str, outlines: bool, tmp_path: Path) -> None:
    written(ours, tmp_path)
    seen = tool("datumaro", "read", theirs, tmp_path)
    items = {Path(k).name: v for k, v in seen["items"].items()}
    assert [[label, *box] for label, *box in items["one"]["boxes"]] == near(BOXES)
    assert items["empty"]["boxes"] == []
    if outlines:
        assert items["two"]["masks"] == [["car", 10, 10, 30, 10, 30, 30]]
    if ours in ("cvat", "datumaro"):
        assert "rain" in items["two"]["tags"]


@pytest.mark.parametrize("form", ["coco", "cvat", "datumaro", "voc_detection", "yolo", "yolo_ultralytics"])
def test_datumaro__is_read(form: str, tmp_path: Path) -> None:
    tool("datumaro", "write", form, tmp_path / "set")
    ours = {"voc_detection": "voc", "yolo_ultralytics": "yolo"}.get(form, form)
    path = {"coco": tmp_path / "set" / "annotations" / "instances_train.json"}.get(form, tmp_path / "set")
    found = {Path(p.name).stem: p for p in kinds()[ours].read(path).pictures}
    boxes = sorted([b.label, *b.box] for b in found["one"].boxes)
    assert boxes == near(BOXES)


def test_label_studio__reads_ours(tmp_path: Path) -> None:
    written("label-studio", tmp_path)
    (tmp_path / "config.xml").write_text(config(("car", "bus"), ("rain",)))
    seen = tool("label-studio-sdk", "read", "label-studio", tmp_path)
    assert seen["items"]["one.jpg"]["boxes"] == near(BOXES)
    assert seen["items"]["two.jpg"]["masks"] == [["car", 10, 10, 30, 30]]


def test_label_studio__is_read(tmp_path: Path) -> None:
    tool("label-studio-sdk", "write", "label-studio", tmp_path)
    found = {p.name: p for p in kinds()["label-studio"].read(tmp_path / "tasks.json").pictures}
    assert sorted([b.label, *b.box] for b in found["one.jpg"].boxes) == near(BOXES)
    assert found["empty.jpg"].labelled


def test_pycocotools__reads_ours(tmp_path: Path) -> None:
    seen = tool("pycocotools", "read", "coco", written("coco", tmp_path))
    assert [b[0] for b in seen["boxes"]] == ["bus", "car", "car"]
    assert seen["ap"] == 1.0
    assert list(seen["areas"].values()) == [pytest.approx(200, rel=0.1)]
