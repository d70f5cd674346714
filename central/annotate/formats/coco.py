"""COCO object detection: one JSON file with ``images``, ``annotations`` (``bbox`` is x, y, width, height) and
``categories``.

Beyond COCO, and ignored by its readers: per image ``camera``, ``frame`` (place in a sequence, from 1), ``labelled``
and ``complete_for``. An image without ``complete_for`` was looked through for every category, as COCO means it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from central.annotate.boxes import LabelBox
from central.annotate.formats import Dataset, FormatError, Picture
from protocols.files import write_atomic

MAX_FILE: Final = 2 * 1024 * 1024 * 1024
"""Bytes; the whole of COCO's own training annotations has a quarter of it."""


class _Category(msgspec.Struct):
    id: int
    name: Annotated[str, Meta(min_length=1, max_length=64)]


class _Image(msgspec.Struct, omit_defaults=True):
    id: int
    file_name: Annotated[str, Meta(min_length=1, max_length=1000)]
    width: Annotated[int, Meta(ge=1)]
    height: Annotated[int, Meta(ge=1)]
    camera: str = ""
    frame: int | None = None
    labelled: bool = True
    complete_for: list[str] | None = None


class _Annotation(msgspec.Struct, omit_defaults=True):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float = 0.0
    iscrowd: int = 0
    score: float | None = None


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def _parse(path: Path) -> _File:
    try:
        if path.stat().st_size > MAX_FILE:
            raise FormatError(f"{path}: more than {MAX_FILE} bytes")
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; give a COCO file") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path}: not a COCO file: {str(error)[:300]}") from None


def _box(path: Path, given: _Annotation) -> tuple[float, float, float, float] | None:
    x, y, width, height = given.bbox
    if not all(math.isfinite(v) for v in given.bbox):
        raise FormatError(f"{path}: annotation {given.id} has a box that is not finite")
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


class Coco:
    """The format."""

    name = "coco"

    def read(self, path: Path) -> Dataset:
        """Return the data set in the file `path`; crowd regions and boxes without area are left out."""
        file = _parse(path)
        names = {c.id: c.name for c in file.categories}
        labels = tuple(names.values())
        boxes: dict[int, list[LabelBox]] = {image.id: [] for image in file.images}
        for given in file.annotations:
            if given.image_id not in boxes or given.category_id not in names:
                raise FormatError(f"{path}: annotation {given.id} names an image or a category that is not there")
            box = _box(path, given)
            if box is not None and not given.iscrowd:
                boxes[given.image_id].append(LabelBox(box, names[given.category_id], given.score))
        return Dataset(labels, tuple(self._picture(i, boxes[i.id], labels) for i in file.images))

    @staticmethod
    def _picture(image: _Image, boxes: list[LabelBox], labels: tuple[str, ...]) -> Picture:
        everything = labels if image.labelled else ()
        return Picture(
            name=image.file_name,
            width=image.width,
            height=image.height,
            boxes=tuple(boxes),
            complete_for=everything if image.complete_for is None else tuple(image.complete_for),
            labelled=image.labelled,
            camera=image.camera,
            index=None if image.frame is None else image.frame - 1,
        )

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` to the file `path`, at once or not at all."""
        ids = {name: number for number, name in enumerate(dataset.labels, 1)}
        images: list[_Image] = []
        annotations: list[_Annotation] = []
        for number, picture in enumerate(dataset.pictures, 1):
            frame = None if picture.index is None else picture.index + 1
            complete = list(picture.complete_for)
            images.append(
                _Image(
                    number,
                    picture.name,
                    picture.width,
                    picture.height,
                    picture.camera,
                    frame,
                    picture.labelled,
                    complete,
                )
            )
            for given in picture.boxes:
                x1, y1, x2, y2 = given.box
                bbox = (x1, y1, x2 - x1, y2 - y1)
                annotations.append(
                    _Annotation(
                        len(annotations) + 1, number, ids[given.label], bbox, bbox[2] * bbox[3], score=given.score
                    )
                )
        file = _File(images, annotations, [_Category(number, name) for name, number in ids.items()])
        write_atomic(path, msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")


FORMAT: Final = Coco()
