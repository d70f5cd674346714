"""COCO object detection: one JSON file with ``images``, ``annotations`` (``bbox`` is x, y, width, height;
``segmentation`` a list of outlines x1, y1, x2, y2 ...) and ``categories``.

Beyond COCO, and ignored by its readers: per image ``camera``, ``frame`` (place in a sequence, from 1), ``labelled``,
``complete_for`` and ``tags``. An image without ``complete_for`` was looked through for every category, as in COCO.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from central.annotate.boxes import LabelBox, Mask
from central.annotate.formats import Dataset, FormatError, Part, Picture, TagState
from central.annotate.formats.reading import MAX_COORDINATE, MAX_FILE, MAX_NAME, MAX_SIDE, around, check_size, outline
from central.annotate.formats.reading import picture as checked
from protocols.files import write_atomic

RUN_LENGTH: Final = "masks by run lengths"


class _Category(msgspec.Struct):
    id: int
    name: Annotated[str, Meta(min_length=1, max_length=64)]


class _Image(msgspec.Struct, omit_defaults=True):
    id: int
    file_name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    width: Annotated[int, Meta(ge=1, le=MAX_SIDE)]
    height: Annotated[int, Meta(ge=1, le=MAX_SIDE)]
    camera: str = ""
    frame: int | None = None
    labelled: bool = True
    complete_for: list[str] | None = None
    tags: dict[str, TagState] = {}


class _Annotation(msgspec.Struct):
    """COCO's own tools want all of it but the score."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float = 0.0
    iscrowd: int = 0
    segmentation: list[list[float]] | dict[str, msgspec.Raw] = []
    score: float | UnsetType | None = UNSET


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def _parse(path: Path) -> _File:
    check_size(path, MAX_FILE, "COCO file")
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; give a COCO file") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path}: not a COCO file: {' '.join(str(error).split())[:300]}") from None


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
        file = _parse(path)
        names = {c.id: c.name for c in file.categories}
        labels, left_out = tuple(names.values()), Counter[str]()
        boxes: dict[int, list[LabelBox]] = {image.id: [] for image in file.images}
        for given in file.annotations:
            if given.image_id not in boxes or given.category_id not in names:
                raise FormatError(f"{path}: annotation {given.id} names an image or a category that is not there")
            mask = None if given.iscrowd else _mask(path, given, left_out)
            box = _box(path, given, mask)
            if box is None or given.iscrowd:
                left_out["crowd regions" if given.iscrowd else "boxes without area"] += 1
            else:
                score = None if given.score is UNSET else given.score
                boxes[given.image_id].append(LabelBox(box, names[given.category_id], score, mask))
        pictures = tuple(self._picture(path, i, boxes[i.id], labels) for i in file.images)
        tags = tuple(dict.fromkeys(tag for image in file.images for tag in image.tags))
        return Dataset(labels, pictures, tags, left_out)

    @staticmethod
    def _picture(path: Path, image: _Image, boxes: list[LabelBox], labels: tuple[str, ...]) -> Picture:
        everything = labels if image.labelled else ()
        return checked(
            path,
            image.file_name,
            image.width,
            image.height,
            boxes=tuple(boxes),
            complete_for=everything if image.complete_for is None else tuple(image.complete_for),
            labelled=image.labelled,
            camera=image.camera,
            index=None if image.frame is None else image.frame - 1,
            tags=image.tags,
        )

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` to the file `path`, at once or not at all."""
        ids = {name: number for number, name in enumerate(dataset.labels, 1)}
        images: list[_Image] = []
        annotations: list[_Annotation] = []
        for number, p in enumerate(dataset.pictures, 1):
            place = None if p.index is None else p.index + 1
            complete = list(p.complete_for)
            images.append(_Image(number, p.name, p.width, p.height, p.camera, place, p.labelled, complete, p.tags))
            for given in p.boxes:
                annotations.append(_annotation(len(annotations) + 1, number, ids[given.label], given))
        file = _File(images, annotations, [_Category(number, name) for name, number in ids.items()])
        write_atomic(path, msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")


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
