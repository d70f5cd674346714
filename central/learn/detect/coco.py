"""Reading COCO ground truth (https://cocodataset.org/#format-data), checked once, then trusted.

Beyond COCO's own fields: `camera` per image (else the folder of its file), `labelled` (false: it does not count),
`complete_for` (the labels for which the image was fully looked through; absent: all).
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec

MAX_FILE: Final = 512 * 1024 * 1024
"""Bytes; COCO's own 118,000 training images need 450 MB."""


class DatasetError(ValueError):
    """Ground truth or images that cannot be used. The text says which, why, and what to do."""


class CocoImage(msgspec.Struct, frozen=True):
    """One image. `width` and `height` in pixels, 0 where the file does not say."""

    id: int
    file_name: str
    width: int = 0
    height: int = 0
    camera: str = ""
    labelled: bool = True
    complete_for: list[str] | None = None
    tags: Any = None
    """``{tag: "present" | "absent"}``; other programs have other things here."""

    @property
    def place(self) -> str:
        """The camera that the image is from; where the file names none, its folder; else empty."""
        parent = str(PurePosixPath(self.file_name).parent)
        return self.camera or ("" if parent == "." else parent)


class CocoBox(msgspec.Struct, frozen=True):
    """One object: `bbox` is x, y, width, height in pixels of the image."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    id: int = 0
    area: float | None = None
    iscrowd: int = 0
    score: float | None = None
    """Confidence 0..1 where a machine proposed the box; None where a person drew it."""

    @property
    def pixels(self) -> float:
        """Area in square pixels: of the mask where the file says it, else of the box."""
        return self.bbox[2] * self.bbox[3] if self.area is None else self.area


class CocoCategory(msgspec.Struct, frozen=True):
    """One class."""

    id: int
    name: str


class Coco(msgspec.Struct, frozen=True):
    """A data set as its file has it."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoBox] = []

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their ids."""
        return tuple(c.name for c in sorted(self.categories, key=lambda c: c.id))

    def by_image(self) -> dict[int, list[CocoBox]]:
        """Return the boxes of each image id; every image has an entry."""
        found: dict[int, list[CocoBox]] = {image.id: [] for image in self.images}
        for box in self.annotations:
            found[box.image_id].append(box)
        return found


def _check_name(path: Path, name: str) -> None:
    pure = PurePosixPath(name)
    if not name or pure.is_absolute() or ".." in pure.parts or "\0" in name:
        raise DatasetError(f"{path}: file name {name!r} leads out of the image folder")


def _check(path: Path, data: Coco) -> None:
    if not data.images:
        raise DatasetError(f"{path}: it lists no images")
    images, categories = {i.id for i in data.images}, {c.id for c in data.categories}
    if len(images) != len(data.images) or len(categories) != len(data.categories):
        raise DatasetError(f"{path}: an image or category id is there twice")
    if len(set(data.labels)) != len(data.categories):
        raise DatasetError(f"{path}: two categories have the same name")
    for image in data.images:
        _check_name(path, image.file_name)
    for box in data.annotations:
        if box.image_id not in images:
            raise DatasetError(f"{path}: annotation {box.id} is of image {box.image_id}, which is not listed")
        if box.category_id not in categories:
            raise DatasetError(f"{path}: annotation {box.id} is of class {box.category_id}, which is not listed")
        if not all(math.isfinite(v) for v in box.bbox) or min(box.bbox[2:]) < 0:
            raise DatasetError(
                f"{path}: annotation {box.id} has the box {list(box.bbox)}; it must be x, y, width, height"
            )


def read(path: Path) -> Coco:
    """Return the ground truth at `path`, checked. Raises DatasetError."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise DatasetError(f"{path}: more than {MAX_FILE} bytes; split it")
        data = msgspec.json.decode(path.read_bytes(), type=Coco)
    except OSError as error:
        raise DatasetError(f"{path}: not readable ({error.strerror}); give a COCO file") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DatasetError(f"{path}: not a COCO file ({str(error)[:200]})") from None
    _check(path, data)
    return data
