"""Datumaro: a folder with ``annotations/SUBSET.json``, each with ``categories`` and ``items``, and ``images/SUBSET/``.

Beyond Datumaro, kept by it as attributes of an item: ``camera``, ``frame`` (from 1), ``labelled``, ``complete_for`` and
``absent`` (names, with commas). An item without ``complete_for`` was looked through for every label.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from central.annotate.boxes import LabelBox
from central.annotate.formats import UNKNOWN_SIDE, Dataset, FormatError, Part, Picture, Stream, TagState
from central.annotate.formats.items import head, items
from central.annotate.formats.reading import around, label_name, number, outline, picture, refuse, unique
from central.annotate.sizes import MAX_SIDE
from protocols.messages import Box

FOLDER: Final = "annotations"
SUBSET: Final = "default"
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]


class _Annotation(msgspec.Struct):
    type: str
    label_id: int | None = None
    bbox: list[float] = []
    points: list[float] = []
    group: int = 0
    attributes: dict[str, Any] = {}


class _Image(msgspec.Struct):
    path: str = ""
    size: tuple[Side, Side] | None = None


class _Item(msgspec.Struct):
    id: str
    annotations: list[_Annotation] = []
    image: _Image | None = None
    attr: dict[str, Any] = {}


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted((path / FOLDER).glob("*.json"))
    if not found:
        raise FormatError(f"{path}: no {FOLDER}/*.json there; give the folder of a Datumaro data set, or one such file")
    return found


def _names(file: Path) -> tuple[str, ...]:
    top = head(file, "items")
    try:
        listed = top["categories"]["label"]["labels"] if top["categories"] else []
        return tuple(label_name(file, entry["name"]) for entry in listed)
    except (KeyError, TypeError):
        refuse(file, "not a Datumaro file: it has no categories with labels")


def _split(value: Any) -> tuple[str, ...]:
    return tuple(part for part in str(value or "").split(",") if part)


class _Reader:
    """Items of one file as pictures."""

    def __init__(self, file: Path, names: tuple[str, ...], left_out: Counter[str]) -> None:
        self._file, self._names, self._left_out = file, names, left_out

    def _label(self, given: _Annotation) -> str:
        place = given.label_id
        if place is None or not 0 <= place < len(self._names):
            refuse(self._file, f"an annotation has the label {place}, which is not there")
        return self._names[place]

    def _box(self, given: _Annotation) -> LabelBox | None:
        score = given.attributes.get("score")
        sure = None if score is None else number(self._file, score, "score")
        if given.type == "bbox" and len(given.bbox) == 4:
            x, y, width, height = (number(self._file, v) for v in given.bbox)
            box: Box = (x, y, x + width, y + height)
            return LabelBox(box, self._label(given), sure)
        if given.type == "polygon":
            mask = (outline(self._file, given.points),)
            return LabelBox(around(mask), self._label(given), sure, mask)
        if given.type != "label":
            self._left_out[f"annotations of type {given.type[:20]!r}"] += 1
        return None

    def picture(self, raw: Any) -> Picture:
        try:
            item = msgspec.convert(raw, _Item)
        except msgspec.ValidationError as error:
            refuse(self._file, f"not a Datumaro item: {error}")
        boxes = tuple(box for box in map(self._box, item.annotations) if box is not None)
        tags: dict[str, TagState] = {self._label(a): "present" for a in item.annotations if a.type == "label"}
        tags |= dict.fromkeys(_split(item.attr.get("absent")), "absent")
        image = item.image or _Image()
        height, width = image.size or (UNKNOWN_SIDE, UNKNOWN_SIDE)
        if image.size is None and boxes:
            refuse(self._file, f"item {item.id[:100]!r} has boxes and no size of its image")
        complete, place = item.attr.get("complete_for"), item.attr.get("frame")
        return picture(
            self._file, image.path or f"{item.id}.jpg", width, height, boxes=boxes, tags=tags,
            complete_for=self._names if complete is None else _split(complete),
            labelled=bool(item.attr.get("labelled", True)), camera=str(item.attr.get("camera", "")),
            index=None if place is None else int(number(self._file, place, "frame")) - 1,
        )  # fmt: skip


def _read(files: list[Path], names: dict[Path, tuple[str, ...]], left_out: Counter[str]) -> Iterator[Picture]:
    left_out.clear()
    for file in files:
        reader = _Reader(file, names[file], left_out)
        yield from map(reader.picture, items(file, "items"))


def _written(given: Picture, ids: dict[str, int]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for number_, b in enumerate(given.boxes):
        attributes = {} if b.score is None else {"score": b.score}
        base = {"id": number_, "attributes": attributes, "group": 0, "label_id": ids[b.label], "z_order": 0}
        if b.mask:
            annotations += [
                base | {"type": "polygon", "points": [v for point in ring for v in point]} for ring in b.mask
            ]
        else:
            x1, y1, x2, y2 = b.box
            annotations.append(base | {"type": "bbox", "bbox": [x1, y1, x2 - x1, y2 - y1]})
    base = {"id": 0, "attributes": {}, "group": 0, "type": "label"}
    annotations += [base | {"label_id": ids[tag]} for tag, state in given.tags.items() if state == "present"]
    attr: dict[str, Any] = {"labelled": given.labelled, "complete_for": ",".join(given.complete_for)}
    attr |= {"camera": given.camera} if given.camera else {}
    attr |= {} if given.index is None else {"frame": given.index + 1}
    absent = ",".join(tag for tag, state in given.tags.items() if state == "absent")
    attr |= {"absent": absent} if absent else {}
    stem = given.name.rsplit(".", 1)[0]
    image = {"path": given.name, "size": [given.height, given.width]}
    return {"id": stem, "annotations": annotations, "attr": attr, "image": image}


class Datumaro:
    """The format. An outline of several rings is written as several polygons, and read again as several labels."""

    name = "datumaro"
    about = f"a folder with {FOLDER}/*.json, or one such file"
    lacks: tuple[Part, ...] = ()
    images: str | None = f"images/{SUBSET}"

    def read(self, path: Path) -> Dataset:
        """Return the data set at `path`, all of its subsets."""
        files = _files(path)
        names = {file: _names(file) for file in files}
        left_out = Counter[str]()
        every = unique(name for file in files for name in names[file])
        make: Callable[[], Iterator[Picture]] = partial(_read, files, names, left_out)
        return Dataset(every, Stream(make), (), left_out)

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` below the folder `path`."""
        folder = path / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        names = unique((*dataset.labels, *dataset.tags))
        ids = {name: place for place, name in enumerate(names)}
        listed = [{"name": name, "parent": "", "attributes": []} for name in names]
        top = {
            "dm_format_version": "1.0",
            "media_type": 2,
            "infos": {},
            "categories": {"label": {"labels": listed, "label_groups": [], "attributes": []}},
        }
        file = folder / f"{SUBSET}.json"
        part = file.with_name(f".{file.name}.part")
        with part.open("w", encoding="utf-8") as out:
            out.write(json.dumps(top)[:-1] + ', "items": [')
            for place, given in enumerate(dataset.pictures):
                out.write(",\n" if place else "\n")
                out.write(json.dumps(_written(given, ids)))
            out.write("\n]}\n")
        part.replace(file)


FORMAT: Final = Datumaro()
