"""YOLO: a folder with the names of the labels and, for each image, a text file with a line for each object.

    data.yaml with ``names``, images/..., labels/....txt      as Ultralytics has it; this is what is written
    obj.names, obj_train_data/....jpg and ....txt             as Darknet has it, and CVAT and Datumaro write it

A line is ``class cx cy width height [score]``, or ``class x1 y1 x2 y2 x3 y3 ...`` for an outline, in shares of the
image. An image without a text file was not labelled; any other one was looked through for every label.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from central.annotate import yamls
from central.annotate.boxes import LabelBox, Mask
from central.annotate.formats import UNKNOWN_SIDE, Dataset, FormatError, Part, Picture, Stream
from central.annotate.formats.reading import (
    around,
    image_size,
    label_name,
    number,
    outline,
    picture,
    refuse,
    safe_name,
    text,
    unique,
)  # fmt: skip
from central.annotate.yamls import YamlError
from protocols.messages import Box

IMAGES: Final = "images"
LABELS: Final = "labels"
SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp")
MAX_CLASSES: Final = 10_000


def _from_yaml(file: Path) -> tuple[str, ...]:
    try:
        top: Any = yamls.load(text(file))
    except YamlError as error:
        refuse(file, str(error))
    names = top.get("names") if isinstance(top, dict) else None
    if isinstance(names, dict) and all(isinstance(k, int) and 0 <= k < MAX_CLASSES for k in names):
        names = [names.get(k, f"class {k}") for k in range(max(names, default=-1) + 1)]
    if not isinstance(names, list) or len(names) > MAX_CLASSES:
        refuse(file, "it has no list 'names' of the labels")
    return tuple(label_name(file, name) for name in names)


def _names(root: Path) -> tuple[str, ...]:
    for file in (root / "data.yaml", root / "dataset.yaml", *sorted(root.glob("*.yaml"))):
        if file.is_file():
            return _from_yaml(file)
    for file in (root / "obj.names", root / "classes.txt"):
        if file.is_file():
            return tuple(label_name(file, line.strip()) for line in text(file).splitlines() if line.strip())
    raise FormatError(f"{root}: no data.yaml, obj.names or classes.txt there; give the folder of a YOLO data set")


def _folders(root: Path) -> list[tuple[Path, Path]]:
    """Return the folders of labels, each with that of its images."""
    if (root / LABELS).is_dir():
        return [(root / LABELS, root / IMAGES)]
    found = [folder for folder in sorted(root.glob("obj_*_data")) if folder.is_dir()]
    if not found:
        raise FormatError(f"{root}: no folder {LABELS} or obj_train_data there; give the folder of a YOLO data set")
    return [(folder, folder) for folder in found]


def _image(images: Path, stem: str) -> tuple[str, tuple[int, int]]:
    """Return the file name of the image and its size, as far as it is there."""
    for suffix in SUFFIXES:
        size = image_size(images / f"{stem}{suffix}")
        if size is not None:
            return f"{stem}{suffix}", size
    return f"{stem}.jpg", (UNKNOWN_SIDE, UNKNOWN_SIDE)


def _line(file: Path, line: str, names: tuple[str, ...], size: tuple[int, int]) -> LabelBox:
    kind, *rest = line.split()
    if not kind.isdecimal() or len(kind) > 6 or int(kind) >= len(names):
        refuse(file, f"class {kind[:40]!r} is not among the {len(names)} labels")
    width, height = size
    if len(rest) in (4, 5):
        cx, cy, w, h = (number(file, v) for v in rest[:4])
        box: Box = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
        return LabelBox(box, names[int(kind)], number(file, rest[4], "score") if len(rest) == 5 else None)
    mask: Mask = (tuple((x * width, y * height) for x, y in outline(file, rest)),)
    return LabelBox(around(mask), names[int(kind)], mask=mask)


def _walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(at) / name for name in sorted(files) if name.endswith(suffixes))


def _read(root: Path, names: tuple[str, ...], left_out: Counter[str]) -> Iterator[Picture]:
    left_out.clear()
    for labels, images in _folders(root):
        for file in _walk(labels, (".txt",)):
            if not file.resolve().is_relative_to(root.resolve()):
                refuse(file, "a link that leads out of the data set")
            name, size = _image(images, str(PurePosixPath(file.relative_to(labels).with_suffix(""))))
            boxes = tuple(_line(file, line, names, size) for line in text(file).splitlines() if line.strip())
            yield picture(file, name, *size, boxes=boxes, complete_for=names)
        for image in _walk(images, SUFFIXES):
            place = image.relative_to(images)
            if not (labels / place).with_suffix(".txt").exists():
                size = image_size(image) or (UNKNOWN_SIDE, UNKNOWN_SIDE)
                yield picture(image, str(PurePosixPath(place)), *size, labelled=False)


def _written(given: Picture, ids: dict[str, int]) -> Iterator[str]:
    for b in given.boxes:
        if b.mask:
            for ring in b.mask:
                flat = " ".join(f"{x / given.width:.6f} {y / given.height:.6f}" for x, y in ring)
                yield f"{ids[b.label]} {flat}\n"
        else:
            x1, y1, x2, y2 = b.box
            place = (
                (x1 + x2) / 2 / given.width,
                (y1 + y2) / 2 / given.height,
                (x2 - x1) / given.width,
                (y2 - y1) / given.height,
            )
            yield f"{ids[b.label]} " + " ".join(f"{v:.6f}" for v in place) + "\n"


class Yolo:
    """The format. Places are written as millionths of the image; an outline of several rings as several objects."""

    name = "yolo"
    about = "a folder with data.yaml, or with obj.names"
    lacks: tuple[Part, ...] = ("tags", "absent tags", "what it is complete for", "scores", "cameras")
    images: str | None = IMAGES

    def read(self, path: Path) -> Dataset:
        """Return the data set below the folder `path`, or beside its ``data.yaml``."""
        root = path.parent if path.is_file() else path
        names, left_out = _names(root), Counter[str]()
        _folders(root)
        return Dataset(unique(names), Stream(partial(_read, root, names, left_out)), (), left_out)

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` below the folder `path`."""
        ids = {name: place for place, name in enumerate(dataset.labels)}
        (path / LABELS).mkdir(parents=True, exist_ok=True)
        top = {"path": ".", "train": IMAGES, "val": IMAGES, "names": {place: name for name, place in ids.items()}}
        (path / "data.yaml").write_text(yaml.safe_dump(top, sort_keys=False, allow_unicode=True), "utf-8")
        for given in dataset.pictures:
            if given.labelled:
                stem = safe_name(path, given.name).rsplit(".", 1)[0]
                file = path / LABELS / f"{stem}.txt"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("".join(_written(given, ids)), "utf-8")


FORMAT: Final = Yolo()
