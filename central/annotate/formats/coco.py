"""COCO object detection: one JSON file with ``images``, ``annotations`` (``bbox`` is x, y, width, height;
``segmentation`` a list of outlines x1, y1, x2, y2 ...) and ``categories``.

Beyond COCO, and ignored by its readers: per image ``camera``, ``frame`` (place in a sequence, from 1), ``labelled``,
``complete_for`` and ``tags``. An image without ``complete_for`` was looked through for every category, as in COCO.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from central.annotate.boxes import LabelBox, Mask
from central.annotate.formats import Dataset, FormatError, Part, Picture, Stream, TagState
from central.annotate.formats.items import Placed, places
from central.annotate.formats.reading import MAX_COORDINATE, MAX_NAME, around, label_name, outline, refuse
from central.annotate.formats.reading import picture as checked
from central.annotate.sizes import MAX_SIDE

RUN_LENGTH: Final = "masks by run lengths"


Id = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _Category(msgspec.Struct):
    id: Id
    name: Annotated[str, Meta(min_length=1, max_length=64)]


class _Image(msgspec.Struct, omit_defaults=True):
    id: Id
    file_name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    width: Annotated[int, Meta(ge=1, le=MAX_SIDE)]
    height: Annotated[int, Meta(ge=1, le=MAX_SIDE)]
    camera: str = ""
    frame: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    labelled: bool = True
    complete_for: list[str] | None = None
    tags: dict[str, TagState] = {}


class _Annotation(msgspec.Struct):
    """COCO's own tools want all of it but the score."""

    id: Id
    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float]
    area: float = 0.0
    iscrowd: int = 0
    segmentation: list[list[float]] | dict[str, Any] = []
    score: float | UnsetType | None = UNSET


KEYS: Final = ("images", "annotations", "categories")
_KINDS: Final = {"images": _Image, "annotations": _Annotation, "categories": _Category}
S = TypeVar("S", _Image, _Annotation)


class _Columns(NamedTuple):
    """Of each item its id, the bytes of the file that it is, and of annotations their image and category."""

    ids: array[int]
    starts: array[int]
    sizes: array[int]
    images: array[int]
    kinds: array[int]


class _Index:
    """Where everything lies in a COCO file, so that no more of it than one image has to be in memory.

    It takes 40 bytes for each image and annotation. Raises FormatError for whatever is not COCO.
    """

    def __init__(self, path: Path) -> None:
        """Go through the file once."""
        self.path = path
        self.names: dict[int, str] = {}
        self.tags: dict[str, None] = {}
        self.images, self.annotations = (_Columns(*(array("q") for _ in _Columns._fields)) for _ in range(2))
        missing = set(KEYS)
        for one in places(path, KEYS):
            missing.discard(one.key)
            if one.size:
                self._take(one)
            elif one.key in KEYS and one.value is not None:
                refuse(path, f"not a COCO file: {one.key!r} is no list")
        if missing:
            refuse(path, f"not a COCO file: it has no {min(missing, key=KEYS.index)!r}")
        self.order, self.bounds = self._sort()

    def _take(self, one: Placed) -> None:
        try:
            item = msgspec.convert(one.value, _KINDS[one.key])
        except msgspec.ValidationError as error:
            refuse(self.path, f"not a COCO file: {one.key}: {error}")
        if isinstance(item, _Category):
            self.names[item.id] = label_name(self.path, item.name)
            return
        image, kind = (item.image_id, item.category_id) if isinstance(item, _Annotation) else (0, 0)
        if isinstance(item, _Image):
            self.tags |= dict.fromkeys(label_name(self.path, tag) for tag in item.tags)
        row = (item.id, one.start, one.size, image, kind)
        for column, value in zip(getattr(self, one.key), row, strict=True):
            column.append(value)

    def _sort(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the places of annotations by the place of their image, and where those of each image begin."""
        known = np.frombuffer(self.images.ids, np.int64) if self.images.ids else np.zeros(0, np.int64)
        by_id = np.argsort(known, kind="stable")
        known = known[by_id]
        if (known[1:] == known[:-1]).any():
            refuse(self.path, f"two images have the id {known[1:][known[1:] == known[:-1]][0]}")
        given = np.array(self.annotations.images, np.int64)
        place = np.searchsorted(known, given)
        wrong = (place == len(known)) | (np.append(known, 0)[place] != given)
        wrong |= ~np.isin(np.array(self.annotations.kinds, np.int64), np.array(list(self.names), np.int64))
        if wrong.any():
            number = self.annotations.ids[int(wrong.argmax())]
            refuse(self.path, f"annotation {number} names an image or a category that is not there")
        images = by_id[place]
        counts = np.bincount(images, minlength=len(known))
        return np.argsort(images, kind="stable"), np.concatenate(([0], np.cumsum(counts)))

    def _one(self, file: int, kind: type[S], columns: _Columns, place: int) -> S:
        data = os.pread(file, columns.sizes[place], columns.starts[place])
        try:
            return msgspec.convert(json.loads(data), kind)
        except (ValueError, msgspec.ValidationError):
            refuse(self.path, "it was changed while it was read")

    def rows(self) -> Iterator[tuple[_Image, list[_Annotation]]]:
        """Yield each image with its annotations, read anew. Raises FormatError."""
        try:
            file = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            refuse(self.path, error.strerror or "it cannot be read")
        try:
            for place in range(len(self.images.ids)):
                mine = self.order[self.bounds[place] : self.bounds[place + 1]]
                given = [self._one(file, _Annotation, self.annotations, int(at)) for at in mine]
                yield self._one(file, _Image, self.images, place), given
        finally:
            os.close(file)


def _mask(path: Path, given: _Annotation, left_out: Counter[str]) -> Mask | None:
    if isinstance(given.segmentation, dict):
        left_out[RUN_LENGTH] += 1
        return None
    rings = [ring for ring in given.segmentation if len(ring) >= 6]
    return tuple(outline(path, ring) for ring in rings) or None


def _box(path: Path, given: _Annotation, mask: Mask | None) -> tuple[float, float, float, float] | None:
    x, y, width, height = given.bbox
    if not all(math.isfinite(v) and abs(v) <= MAX_COORDINATE for v in given.bbox):
        raise FormatError(f"{path}: annotation {given.id} has a box that is not finite")
    if width > 0 and height > 0:
        return x, y, x + width, y + height
    return around(mask) if mask else None


class Coco:
    """The format."""

    name = "coco"
    about = "a JSON file"
    lacks: tuple[Part, ...] = ()
    images: str | None = None

    def read(self, path: Path) -> Dataset:
        """Return the data set in the file `path`; crowd regions and boxes without area are left out."""
        index, left_out = _Index(path), Counter[str]()
        return Dataset(
            tuple(index.names.values()), Stream(partial(_read, index, left_out)), tuple(index.tags), left_out
        )  # fmt: skip

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` to the file `path`, at once or not at all."""
        ids = {name: number for number, name in enumerate(dataset.labels, 1)}
        part, numbers = path.with_name(f".{path.name}.part"), count(1)
        with part.open("wb") as out, tempfile.TemporaryFile(dir=path.parent) as held:
            out.write(b'{"images": [')
            for image, p in enumerate(dataset.pictures, 1):
                _line(out, image, _image(image, p))
                for given in p.boxes:
                    number = next(numbers)
                    _line(held, number, _annotation(number, image, ids[given.label], given))
            out.write(b'],\n"annotations": [')
            held.seek(0)
            shutil.copyfileobj(held, out)
            out.write(b'],\n"categories": [')
            for name, number in ids.items():
                _line(out, number, _Category(number, name))
            out.write(b"]}\n")
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)


def _read(index: _Index, left_out: Counter[str]) -> Iterator[Picture]:
    left_out.clear()
    labels = tuple(index.names.values())
    for image, found in index.rows():
        boxes = [_label(index, given, left_out) for given in found]
        yield _picture(index.path, image, tuple(box for box in boxes if box is not None), labels)


def _label(index: _Index, given: _Annotation, left_out: Counter[str]) -> LabelBox | None:
    mask = None if given.iscrowd else _mask(index.path, given, left_out)
    box = _box(index.path, given, mask)
    if box is None or given.iscrowd:
        left_out["crowd regions" if given.iscrowd else "boxes without area"] += 1
        return None
    return LabelBox(box, index.names[given.category_id], None if given.score is UNSET else given.score, mask)


def _picture(path: Path, image: _Image, boxes: tuple[LabelBox, ...], labels: tuple[str, ...]) -> Picture:
    everything = labels if image.labelled else ()
    return checked(
        path,
        image.file_name,
        image.width,
        image.height,
        boxes=boxes,
        complete_for=everything if image.complete_for is None else tuple(image.complete_for),
        labelled=image.labelled,
        camera=image.camera,
        index=None if image.frame is None else image.frame - 1,
        tags=image.tags,
    )


def _line(out: IO[bytes], number: int, value: msgspec.Struct) -> None:
    out.write((b",\n" if number > 1 else b"\n") + msgspec.json.encode(value))


def _image(number: int, p: Picture) -> _Image:
    place = None if p.index is None else p.index + 1
    return _Image(number, p.name, p.width, p.height, p.camera, place, p.labelled, list(p.complete_for), p.tags)


def _annotation(number: int, image: int, category: int, given: LabelBox) -> _Annotation:
    x1, y1, x2, y2 = given.box
    bbox = (x1, y1, x2 - x1, y2 - y1)
    rings = [[v for point in ring for v in point] for ring in given.mask or ()]
    area = _area(given.mask) if given.mask else bbox[2] * bbox[3]
    score = UNSET if given.score is None else given.score
    return _Annotation(number, image, category, bbox, area, segmentation=rings, score=score)


def _area(mask: Mask) -> float:
    """Return the area within the rings of `mask`, by the shoelace formula."""
    total = 0.0
    for ring in mask:
        turned = (*ring[1:], ring[0])
        total += abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, turned, strict=True))) / 2
    return total


FORMAT: Final = Coco()
