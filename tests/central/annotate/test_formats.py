"""Every format: there and back, what it cannot carry, and hostile files refused in one line."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from central.annotate.boxes import LabelBox
from central.annotate.formats import Dataset, FormatError, Picture, Stream, kinds, lost, parts
from central.annotate.formats.items import head, items
from central.annotate.formats.reading import image_size

RING = ((10.0, 10.0), (30.0, 10.0), (30.0, 30.0))
PICTURES = (
    Picture(
        "a/1.jpg", 100, 50, (LabelBox((1, 2, 30, 40), "car"), LabelBox((10, 10, 30, 30), "bus", None, (RING,))),
        ("car",), tags={"rain": "present", "night": "absent"},
    ),
    Picture("a/empty <&\">.jpg", 100, 50, (), ("car", "bus")),
)  # fmt: skip
LABELS, TAGS = ("car", "bus"), ("rain", "night")
FOLDERS = {"voc", "yolo", "datumaro"}


def place(name: str, folder: Path) -> Path:
    return folder / "set" if name in FOLDERS else folder / "set.file"


def without(form: Any, given: Picture, labels: tuple[str, ...]) -> Picture:
    """Return `given` as `form` can carry it."""
    boxes = given.boxes if "masks" not in form.lacks else tuple(LabelBox(b.box, b.label) for b in given.boxes)
    tags = {t: s for t, s in given.tags.items() if ("tags" if s == "present" else "absent tags") not in form.lacks}
    complete = labels if "what it is complete for" in form.lacks else given.complete_for
    return Picture(given.name, given.width, given.height, boxes, complete, tags=tags)


def near(a: Picture, b: Picture) -> None:
    assert (a.complete_for, a.tags, a.labelled) == (b.complete_for, b.tags, b.labelled)
    assert [x.label for x in a.boxes] == [x.label for x in b.boxes]
    for x, y in zip(a.boxes, b.boxes, strict=True):
        assert x.box == pytest.approx(y.box, abs=0.01)
        assert (x.mask is None) == (y.mask is None)
        if x.mask and y.mask:
            assert [v for r in x.mask for p in r for v in p] == pytest.approx([v for r in y.mask for p in r for v in p])


@pytest.mark.parametrize("name", sorted(kinds()))
def test_there_and_back(name: str, tmp_path: Path) -> None:
    form = kinds()[name]
    form.write(Dataset(LABELS, PICTURES, TAGS), place(name, tmp_path))
    again = form.read(place(name, tmp_path)).loaded()
    assert set(again.labels) - set(TAGS) == set(LABELS)
    assert not again.left_out
    size = {"yolo": (1, 1)}.get(name)  # whose files do not tell it, and no image is there
    found = {p.name: p for p in again.pictures}
    for given in PICTURES:
        wanted = without(form, given, again.labels)
        if size:
            boxes = tuple(
                LabelBox(
                    tuple(v / s for v, s in zip(b.box, (100, 50, 100, 50), strict=True)),  # type: ignore[arg-type]
                    b.label,
                    None,
                    b.mask and tuple(tuple((x / 100, y / 50) for x, y in ring) for ring in b.mask),
                )
                for b in wanted.boxes
            )
            wanted = Picture(given.name, 1, 1, boxes, wanted.complete_for)
        near(found[given.name], wanted)


@pytest.mark.parametrize("name", sorted(kinds()))
def test_unlabelled__stays_so(name: str, tmp_path: Path) -> None:
    form = kinds()[name]
    if "frames without labels" in form.lacks:
        pytest.skip(f"{name} has no place for them, and says so")
    form.write(Dataset(LABELS, (PICTURES[0], Picture("b.jpg", 10, 10, labelled=False)), TAGS), place(name, tmp_path))
    found = {p.name: p.labelled for p in form.read(place(name, tmp_path)).pictures}
    assert found.get("b.jpg", False) is False
    assert found["a/1.jpg"] is True


def test_lost__in_one_line() -> None:
    counts = sum((parts(p) for p in PICTURES), Counter())
    assert lost(kinds()["voc"], counts) == (
        "voc has no place for: masks (1), tags (1), absent tags (1), what it is complete for (2)"
    )
    assert lost(kinds()["coco"], counts) == ""


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><annotation>&y;</annotation>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>'
CVAT = "<annotations><meta><task><labels><label><name>car</name></label></labels></task></meta>{}</annotations>"
CVAT_IMAGE = '<image name="a.jpg" width="10" height="10">{}</image>'
VOC = (
    "<annotation><filename>{name}</filename><size><width>{side}</width><height>9</height></size><object>"
    "<name>car</name><bndbox><xmin>{x}</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"
)
YAML_BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
) + "names: *a9\n"  # fmt: skip
TASK = {"id": 1, "data": {"image": "/a.jpg"}, "annotations": [{"result": []}]}
ITEM = {"id": "a", "annotations": [], "image": {"path": "a.jpg", "size": [9, 9]}}
CATEGORIES = {"categories": {"label": {"labels": [{"name": "car"}]}}}


def datumaro(**parts: Any) -> str:
    return json.dumps(CATEGORIES | {"items": [ITEM | parts]})


def boxed(label: int, side: float) -> str:
    return datumaro(annotations=[{"type": "bbox", "label_id": label, "bbox": [1, 1, 1, side]}])


def rectangle(**value: Any) -> str:
    result = {"type": "rectanglelabels", "original_width": 9, "original_height": 9,
              "value": {"x": 1, "y": 1, "width": 2, "height": 2, "rectanglelabels": ["car"]} | value}  # fmt: skip
    return json.dumps([TASK | {"annotations": [{"result": [result]}]}])


@pytest.mark.parametrize(
    ("name", "files", "says"),
    [
        ("cvat", {"x.xml": BOMB}, "document type"),
        ("cvat", {"x.xml": OUTSIDE}, "document type"),
        ("cvat", {"x.xml": "<a>" * 100_000}, "nested too deeply"),
        ("cvat", {"x.xml": "not xml"}, "not XML"),
        ("cvat", {"x.xml": '<?xml version="1.0" encoding="nix"?><a/>'}, "not XML"),
        ("cvat", {"x.xml": CVAT.format('<track id="0" label="car"></track>')}, "tracks"),
        ("cvat", {"x.xml": CVAT.format(CVAT_IMAGE.format('<box label="car" xtl="1e999"/>'))}, "not finite"),
        ("cvat", {"x.xml": CVAT.format(CVAT_IMAGE.format(f'<box label="car" xtl="{"9" * 5000}"/>'))}, "too large"),
        ("cvat", {"x.xml": CVAT.format(CVAT_IMAGE.format('<box label="car"/>'))}, "not a number"),
        ("cvat", {"x.xml": CVAT.format(CVAT_IMAGE.format('<polygon label="car" points="1,1;2,2"/>'))}, "outline"),
        ("cvat", {"x.xml": CVAT.format('<image name="../../etc/x" width="1" height="1"/>')}, "leads out"),
        ("cvat", {"x.xml": CVAT.format('<image name="a" width="99999999" height="1"/>')}, "too large"),
        ("cvat", {"x.xml": CVAT.format('<image name="a" width="0" height="1"/>')}, "0 x 1 pixels"),
        ("cvat", {"x.xml": CVAT.format(CVAT_IMAGE.format('<box label="" xtl="1"/>'))}, "label"),
        ("cvat", {}, "0 XML files"),
        ("voc", {"Annotations/a.xml": BOMB}, "document type"),
        ("voc", {"Annotations/a.xml": VOC.format(name="/etc/passwd", side=9, x=1)}, "leads out"),
        ("voc", {"Annotations/a.xml": VOC.format(name="a.jpg", side="inf", x=1)}, "not finite"),
        ("voc", {"Annotations/a.xml": VOC.format(name="a.jpg", side=9, x="NaN")}, "not finite"),
        ("voc", {"Annotations/a.xml": VOC.format(name="a.jpg", side=9, x="")}, "<xmin>"),
        ("voc", {"ImageSets/Main/train.txt": "../../x\n", "Annotations/x/y.txt": ""}, "leads out"),
        ("voc", {"other.txt": ""}, "no folder Annotations"),
        ("yolo", {"data.yaml": "names: [car]", "labels/a.txt": "1 0.5 0.5 0.1 0.1"}, "class '1'"),
        ("yolo", {"data.yaml": "names: [car]", "labels/a.txt": "-1 0.5 0.5 0.1 0.1"}, "class '-1'"),
        ("yolo", {"data.yaml": "names: [car]", "labels/a.txt": "0 0.5 nan 0.1 0.1"}, "not finite"),
        ("yolo", {"data.yaml": "names: [car]", "labels/a.txt": "0 0.5"}, "outline"),
        ("yolo", {"data.yaml": "names: [car]", "labels/a.txt": "0 " + "9" * 400 + " 1 1 1"}, "too large"),
        ("yolo", {"data.yaml": "names: {99999999: car}", "labels/a.txt": ""}, "no list 'names'"),
        ("yolo", {"data.yaml": "!!python/object/apply:os.system [x]", "labels/a.txt": ""}, "not YAML"),
        ("yolo", {"data.yaml": "names: 2026-99-99", "labels/a.txt": ""}, "not YAML"),
        ("yolo", {"data.yaml": "names: " + "[" * 9000, "labels/a.txt": ""}, "not YAML"),
        ("yolo", {"data.yaml": YAML_BOMB, "labels/a.txt": ""}, "a label is no text"),
        ("yolo", {"data.yaml": "names: [car]", "labels/C:\\x.txt": ""}, "leads out"),
        ("yolo", {"data.yaml": "names: [car]"}, "no folder labels"),
        ("yolo", {}, "no data.yaml"),
        ("label-studio", {"x.json": "{}"}, "not JSON of this kind"),
        ("label-studio", {"x.json": "[" * 100_000}, "not JSON"),
        ("label-studio", {"x.json": "[{}]"}, "not a Label Studio task"),
        ("label-studio", {"x.json": json.dumps([TASK])[:-5]}, "not JSON"),
        ("label-studio", {"x.json": json.dumps([TASK | {"data": {"image": "/x?d=../../a"}}])}, "leads out"),
        ("label-studio", {"x.json": rectangle(x=1e308)}, "not finite or too large"),
        ("label-studio", {"x.json": rectangle().replace("width\": 9", "width\": 0")}, "original_width"),
        ("label-studio", {"x.json": rectangle(rectanglelabels=["x" * 65])}, "label"),
        ("datumaro", {"annotations/x.json": "[]"}, "not JSON of this kind"),
        ("datumaro", {"annotations/x.json": '{"items": []}'}, "categories"),
        ("datumaro", {"annotations/x.json": datumaro(image={"path": "../../x", "size": [1, 1]})}, "leads out"),
        ("datumaro", {"annotations/x.json": boxed(9, 1)}, "label 9"),
        ("datumaro", {"annotations/x.json": boxed(0, 1e99)}, "too large"),
        ("datumaro", {"annotations/x.json": datumaro(annotations=7)}, "not a Datumaro item"),
        ("datumaro", {}, "no annotations"),
        ("coco", {"x.json": '{"images": [{"id": 1, "file_name": "../x", "width": 1, "height": 1}], "annotations": [],'
                            ' "categories": []}'}, "leads out"),
    ],
)  # fmt: skip
def test_hostile__refused_in_one_line(name: str, files: dict[str, str], says: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(content)
    single = [root / file for file in files if name not in FOLDERS]
    with pytest.raises(FormatError) as caught:
        kinds()[name].read(single[0] if single else root).loaded()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", sorted(kinds()))
def test_read__missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        kinds()[name].read(tmp_path / "nix").loaded()


def test_left_out__is_counted(tmp_path: Path) -> None:
    shapes = '<ellipse label="car"/><points label="car" points="1,1"/><ellipse label="car"/>'
    (tmp_path / "x.xml").write_text(CVAT.format(CVAT_IMAGE.format(shapes)))
    found = kinds()["cvat"].read(tmp_path / "x.xml").loaded()
    assert dict(found.left_out) == {"shapes of kind 'ellipse'": 2, "shapes of kind 'points'": 1}


def test_turned_box__becomes_an_outline(tmp_path: Path) -> None:
    box = '<box label="car" xtl="2" ytl="2" xbr="8" ybr="4" rotation="90"/>'
    (tmp_path / "x.xml").write_text(CVAT.format(CVAT_IMAGE.format(box)))
    (picture,) = kinds()["cvat"].read(tmp_path / "x.xml").pictures
    assert picture.boxes[0].box == pytest.approx((4, 0, 6, 6))


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize(
    ("text", "found"),
    [("[]", []), (" [1, 23 , 456]", [1, 23, 456]), ('[{"a": "]"}, "x"]', [{"a": "]"}, "x"]), ("[1.5e3]", [1500.0])],
)
def test_items__whatever_is_read_at_once(
    text: str, found: list[Any], chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("central.annotate.formats.items.CHUNK", chunk)
    (tmp_path / "x.json").write_text(text)
    assert list(items(tmp_path / "x.json", None)) == found


@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_head__whatever_the_order(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("central.annotate.formats.items.CHUNK", chunk)
    (tmp_path / "x.json").write_text('{"a": 1, "items": [1, 2], "b": {"c": [3]}}')
    assert head(tmp_path / "x.json", "items") == {"a": 1, "b": {"c": [3]}}
    assert list(items(tmp_path / "x.json", "items")) == [1, 2]


def many(count: int) -> Callable[[], Any]:
    return lambda: (Picture(f"{n}.jpg", 100, 50, (LabelBox((1, 2, 30, 40), "car"),), ("car",)) for n in range(count))


@pytest.mark.parametrize("name", ["cvat", "label-studio", "datumaro"])
def test_large_set__is_not_held_in_memory(name: str, tmp_path: Path) -> None:
    form, peaks = kinds()[name], []
    for count in (200, 1000):
        path = tmp_path / f"{count}.x"
        form.write(Dataset(("car",), Stream(many(count))), path)
        tracemalloc.start()
        assert sum(1 for _ in form.read(path).pictures) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + 500_000


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"", None),
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\0\x07\0\0\0\x09" + b"\0" * 9, (7, 9)),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x09\x00\x07\x01\x01\x11\x00", (7, 9)),
        (b"\xff\xd8\xff\xe0\xff\xff", None),
    ],
)
def test_image_size__by_its_head(data: bytes, size: tuple[int, int] | None, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    assert image_size(tmp_path / "x") == size
