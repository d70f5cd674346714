"""Images with tags that are known in part, from a COCO file, a table or a list; and hiding some of what is known.

    COCO.json    a class is present where a box has it, absent where the image is complete for it, else unknown; what
                 an image's `tags` say (present, absent) comes before that
    TABLE.csv    first column the file, then one column per tag: 1 present, -1 or 0 absent, empty or ? unknown
    LIST.json    {"file": [names or indices of the tags that are present]}: what is not listed is absent
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from central.learn.detect import coco
from central.learn.detect.coco import DatasetError

MAX_TABLE: Final = 512 * 1024 * 1024
"""Bytes of a table or a list: a million images with 80 tags have 200 MB."""
SIGNS: Final = {"1": 1, "+1": 1, "-1": -1, "0": -1, "": 0, "?": 0, "present": 1, "absent": -1, "unknown": 0}
COCO80: Final = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
)  # fmt: skip
"""What indices in a list stand for where no names are given."""


@dataclass(frozen=True)
class Tagged:
    """Images and what is known of their tags."""

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: NDArray[np.int8]
    """``[N, C]``: 1 present, -1 absent, 0 unknown."""
    groups: tuple[str, ...] = ()
    """Camera of each image, or nothing: images of one camera are held back together."""

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Tagged:
        """Return the images `rows`."""
        groups = tuple(self.groups[i] for i in rows) if self.groups else ()
        return Tagged(self.names, tuple(self.paths[i] for i in rows), self.labels[np.asarray(rows, np.int64)], groups)

    @property
    def known(self) -> float:
        """Share of the cells that are known, 0..1."""
        return float((self.labels != 0).mean()) if self.labels.size else 0.0


def hide(labels: NDArray[np.int8], share: float, seed: int = 0) -> NDArray[np.int8]:
    """Return `labels` ``[N, C]`` with every cell kept with probability `share`, independently, as the papers do."""
    kept = np.random.default_rng(seed).random(labels.shape) < share
    return np.where(kept, labels, 0).astype(np.int8)


def join(parts: Sequence[Tagged]) -> Tagged:
    """Return all images of `parts`; a tag that a part does not speak of is unknown there."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    return aligned_join([aligned(part, names) for part in parts])


def aligned(part: Tagged, names: tuple[str, ...]) -> Tagged:
    """Return `part` with the tags `names`; those that it does not speak of are unknown."""
    labels = np.zeros((len(part.paths), len(names)), np.int8)
    for column, name in enumerate(names):
        if name in part.names:
            labels[:, column] = part.labels[:, part.names.index(name)]
    return replace(part, names=names, labels=labels)


def aligned_join(parts: Sequence[Tagged]) -> Tagged:
    """Return all images of `parts`, which have the same tags."""
    groups = tuple(group for part in parts for group in (part.groups or [""] * len(part.paths)))
    paths = tuple(path for part in parts for path in part.paths)
    return Tagged(parts[0].names, paths, np.concatenate([part.labels for part in parts]), groups)


def _told(tags: Any) -> dict[str, int]:
    """Return what an image's `tags` in a COCO file say: 1 present, -1 absent; nothing where they have another form."""
    if not isinstance(tags, dict):
        return {}
    return {str(n): {"present": 1, "absent": -1}[v] for n, v in tags.items() if v in ("present", "absent")}


def from_coco(path: Path, images: Path, names: tuple[str, ...] = ()) -> Tagged:
    """Return the labelled images of a COCO file; `names` are its classes unless given. Raises DatasetError."""
    data = coco.read(path)
    listed = [image for image in data.images if image.labelled]
    told = [_told(image.tags) for image in listed]
    names = names or tuple(dict.fromkeys((*data.labels, *(name for own in told for name in own))))
    title = {c.id: c.name for c in data.categories}
    boxes = data.by_image()
    labels = np.zeros((len(listed), len(names)), np.int8)
    for row, image in enumerate(listed):
        looked = data.labels if image.complete_for is None else image.complete_for
        present = {title[box.category_id] for box in boxes[image.id]}
        absent = set(looked) & set(data.labels)
        labels[row] = [told[row].get(n, 1 if n in present else -1 if n in absent else 0) for n in names]
    groups = tuple(image.place or "" for image in listed)
    return _checked(Tagged(names, tuple(images / image.file_name for image in listed), labels, groups), path)


def _checked(found: Tagged, path: Path) -> Tagged:
    if not found.paths:
        raise DatasetError(f"{path}: no labelled image in it")
    missing = [p for p in found.paths if not p.is_file()]
    if missing:
        raise DatasetError(f"{missing[0]}: no such image ({len(missing)} of {len(found.paths)} of {path} are missing)")
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TABLE:
            raise DatasetError(f"{path}: more than {MAX_TABLE} bytes; is it a table of tags?")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from None


def from_table(path: Path, images: Path) -> Tagged:
    """Return the images of a CSV table of tags. Raises DatasetError naming the line that is wrong."""
    rows = list(csv.reader(_text(path).splitlines()))
    if len(rows) < 2 or len(rows[0]) < 2:
        raise DatasetError(f"{path}: no table of tags; the first line is file,TAG,TAG,...")
    names = tuple(name.strip() for name in rows[0][1:])
    if len(set(names)) != len(names) or not all(names):
        raise DatasetError(f"{path}, line 1: tags must have names of their own")
    labels = np.zeros((len(rows) - 1, len(names)), np.int8)
    for number, row in enumerate(rows[1:], 2):
        cells = [cell.strip().lower() for cell in row[1:]]
        if len(row) != len(names) + 1 or not set(cells) <= SIGNS.keys():
            raise DatasetError(f"{path}, line {number}: give {len(names)} values of 1, -1 or nothing after the file")
        labels[number - 2] = [SIGNS[cell] for cell in cells]
    return _checked(Tagged(names, tuple(images / row[0] for row in rows[1:]), labels), path)


def _name(value: Any, path: Path, names: tuple[str, ...]) -> str:
    known = names or COCO80
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(known):
        return known[value]
    if isinstance(value, str) and value:
        return value
    raise DatasetError(f"{path}: {str(value)[:40]!r} is no tag; give names, or indices below {len(known)}")


def from_list(path: Path, images: Path, names: tuple[str, ...] = ()) -> Tagged:
    """Return the images of a JSON list of present tags. Indices are into `names`, else the 80 of COCO.

    Raises DatasetError.
    """
    try:
        rows = json.loads(_text(path))
        present = {str(file): {_name(v, path, names) for v in values} for file, values in rows.items()}
    except (json.JSONDecodeError, AttributeError, TypeError):
        raise DatasetError(f'{path}: not a list of tags; give {{"file": ["tag", ...], ...}}') from None
    if not names:
        used = {name for own in present.values() for name in own}
        names = COCO80 if used <= set(COCO80) else tuple(sorted(used))
    labels = np.array([[1 if n in own else -1 for n in names] for own in present.values()], np.int8)
    return _checked(Tagged(names, tuple(images / file for file in present), labels.reshape(-1, len(names))), path)


def load(path: Path, images: Path, names: tuple[str, ...] = ()) -> Tagged:
    """Return the images that the file `path` speaks of: COCO, a CSV table or a JSON list. Raises DatasetError."""
    if path.suffix.lower() == ".csv":
        found = from_table(path, images)
        return aligned(found, names) if names else found
    if path.suffix.lower() != ".json":
        raise DatasetError(f"{path}: give a COCO file or list (.json) or a table (.csv)")
    head = _text(path)
    return from_coco(path, images, names) if '"categories"' in head else from_list(path, images, names)


def held_back(data: Tagged, share: float = 0.2, seed: int = 0) -> NDArray[np.bool_]:
    """Return which images to judge on ``[N]``: about `share` of each camera's, or of all, by chance.

    Where there are at least five cameras, whole cameras are held back: neighbouring frames are too alike.
    """
    random = np.random.default_rng(seed)
    places = sorted(set(data.groups))
    if len(places) >= 5:
        chosen = set(random.permutation(places)[: max(1, round(share * len(places)))].tolist())
        return np.array([group in chosen for group in data.groups])
    mask = np.zeros(len(data.paths), bool)
    mask[random.permutation(len(mask))[: round(share * len(mask))]] = True
    return mask
