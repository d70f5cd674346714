"""Pascal VOC: a folder with an XML file for each image in ``Annotations/``, images in ``JPEGImages/``, lists of names
in ``ImageSets/Main/`` and, as CVAT and Datumaro write it, the labels in ``labelmap.txt``.

Boxes only. Places are taken and written as today's tools do, as pixels from 0 at the upper left corner, not shifted by
the one of the devkit of 2007. An image of the lists without an XML file was not labelled; any other one was looked
through for every label, as VOC means it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from central.annotate.boxes import LabelBox
from central.annotate.formats import UNKNOWN_SIDE, Dataset, FormatError, Part, Picture, Stream
from central.annotate.formats.reading import (
    child,
    document,
    image_size,
    label_name,
    number,
    picture,
    refuse,
    safe_name,
    text,
    unique,
)  # fmt: skip

ANNOTATIONS: Final = "Annotations"
IMAGES: Final = "JPEGImages"
SETS: Final = "ImageSets/Main"
LABELS: Final = "labelmap.txt"
_NOT_LABELS: Final = ("background",)
_SIDES: Final = ("xmin", "ymin", "xmax", "ymax")


def _root(path: Path) -> Path:
    for root in (path, *sorted(path.glob("VOC*")), *sorted(path.glob("VOCdevkit/VOC*"))):
        if (root / ANNOTATIONS).is_dir():
            return root
    raise FormatError(f"{path}: no folder {ANNOTATIONS} there; give the folder that has it")


def _box(file: Path, thing: Element) -> LabelBox:
    bounds = thing.find("bndbox")
    if bounds is None:
        refuse(file, "an object without <bndbox>")
    x1, y1, x2, y2 = (number(file, child(file, bounds, side)) for side in _SIDES)
    return LabelBox((x1, y1, x2, y2), label_name(file, child(file, thing, "name")))


def _one(root: Path, file: Path, labels: tuple[str, ...], left_out: Counter[str]) -> Picture:
    top = document(file)
    if top.tag != "annotation":
        refuse(file, "no <annotation> in it")
    below = file.relative_to(root / ANNOTATIONS).parent
    name = safe_name(file, (top.findtext("filename") or f"{file.stem}.jpg").strip())
    name = name if "/" in name else str(PurePosixPath(below) / name)
    boxes = tuple(_box(file, thing) for thing in top.iter("object"))
    left_out.update("parts of objects" for _ in top.iter("part"))
    size = top.find("size")
    if size is not None:
        width, height = (int(number(file, child(file, size, side), side)) for side in ("width", "height"))
    else:
        width, height = image_size(root / IMAGES / name) or (0, 0)
    return picture(file, name, width, height, boxes=boxes, complete_for=labels)


def _unlabelled(root: Path, done: set[str]) -> Iterator[Picture]:
    seen: set[str] = set()
    for listed in sorted((root / SETS).glob("*.txt")):
        if "_" in listed.stem:  # LABEL_train.txt and the like say which images have the label
            continue
        for line in text(listed).splitlines():
            stem = line.split()[0] if line.strip() else ""
            if stem and stem not in done and stem not in seen:
                seen.add(stem)
                name = safe_name(listed, f"{stem}.jpg")
                width, height = image_size(root / IMAGES / name) or (UNKNOWN_SIDE, UNKNOWN_SIDE)
                yield picture(listed, name, width, height, labelled=False)


def _read(root: Path, labels: tuple[str, ...], left_out: Counter[str]) -> Iterator[Picture]:
    left_out.clear()
    done: set[str] = set()
    folder = root / ANNOTATIONS
    for file in sorted(folder.rglob("*.xml")):
        if file.resolve().is_relative_to(folder.resolve()):
            done.add(str(file.relative_to(folder).with_suffix("")))
            yield _one(root, file, labels, left_out)
    yield from _unlabelled(root, done)


def _labels(root: Path, left_out: Counter[str]) -> tuple[str, ...]:
    if (root / LABELS).is_file():
        lines = [line.split(":")[0].strip() for line in text(root / LABELS).splitlines()]
        listed = [line for line in lines if line and not line.startswith("#") and line not in _NOT_LABELS]
        return unique(label_name(root / LABELS, name) for name in listed)
    return unique(box.label for one in _read(root, (), left_out) for box in one.boxes)


def _xml(given: Picture) -> str:
    things = "".join(
        f"  <object>\n    <name>{escape(b.label)}</name>\n    <pose>Unspecified</pose>\n    <truncated>0</truncated>\n"
        "    <difficult>0</difficult>\n    <bndbox>\n"
        + "".join(f"      <{side}>{value:.2f}</{side}>\n" for side, value in zip(_SIDES, b.box, strict=True))
        + "    </bndbox>\n  </object>\n"
        for b in given.boxes
    )
    return (
        f"<annotation>\n  <folder>{IMAGES}</folder>\n  <filename>{escape(given.name)}</filename>\n"
        "  <source>\n    <database>Unknown</database>\n    <annotation>Unknown</annotation>\n"
        "    <image>Unknown</image>\n  </source>\n"
        f"  <size>\n    <width>{given.width}</width>\n    <height>{given.height}</height>\n    <depth>3</depth>\n"
        f"  </size>\n  <segmented>0</segmented>\n{things}</annotation>\n"
    )


class Voc:
    """The format."""

    name = "voc"
    about = f"a folder with {ANNOTATIONS}/"
    lacks: tuple[Part, ...] = ("masks", "tags", "absent tags", "what it is complete for", "scores", "cameras")
    images: str | None = IMAGES

    def read(self, path: Path) -> Dataset:
        """Return the data set below the folder `path`."""
        root, left_out = _root(path), Counter[str]()
        labels = _labels(root, left_out)
        return Dataset(labels, Stream(partial(_read, root, labels, left_out)), (), left_out)

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` below the folder `path`."""
        (path / SETS).mkdir(parents=True, exist_ok=True)
        (path / ANNOTATIONS).mkdir(exist_ok=True)
        lines = [f"{name}:::" for name in (*_NOT_LABELS, *dataset.labels)]
        (path / LABELS).write_text("# label:color_rgb:parts:actions\n" + "\n".join(lines) + "\n", "utf-8")
        with (path / SETS / "train.txt").open("w", encoding="utf-8") as listed:
            for given in dataset.pictures:
                stem = safe_name(path, given.name).rsplit(".", 1)[0]
                listed.write(f"{stem}\n")
                if given.labelled:
                    file = path / ANNOTATIONS / f"{stem}.xml"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(_xml(given), "utf-8")


FORMAT: Final = Voc()
