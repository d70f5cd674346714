"""COCO files as training examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from central.learn.data import Example
from central.learn.detect.coco import Coco, CocoBox, DatasetError, read


def _weight(box: CocoBox) -> float:
    """Return how much a box counts: a person's fully, a machine's by its confidence."""
    return 1.0 if box.score is None else min(1.0, max(0.0, box.score))


def examples(data: Coco, images: Path, labels: tuple[str, ...]) -> list[Example]:
    """Return the labelled images of `data` below the folder `images`, with classes as indices into `labels`.

    Crowd boxes and classes outside `labels` are left out; an image is complete for those of `labels` that the file has
    (or that its `complete_for` lists). Raises DatasetError where the file has none of `labels`.
    """
    name = {c.id: c.name for c in data.categories}
    shared = [label for label in labels if label in data.labels]
    if not shared:
        known = ", ".join(data.labels)
        raise DatasetError(f"none of the classes {', '.join(labels)} is in the file, which has {known}")
    index = {label: i for i, label in enumerate(labels)}
    boxes = data.by_image()
    found = []
    for image in data.images:
        if not image.labelled:
            continue
        own = [b for b in boxes[image.id] if name[b.category_id] in index and not b.iscrowd and min(b.bbox[2:]) > 0]
        xywh = np.array([b.bbox for b in own], np.float32).reshape(-1, 4)
        looked = shared if image.complete_for is None else image.complete_for
        found.append(
            Example(
                path=images / image.file_name,
                boxes=np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), 1),
                classes=np.array([index[name[b.category_id]] for b in own], np.int64),
                weights=np.array([_weight(b) for b in own], np.float32),
                complete=np.array([label in looked for label in labels]),
                camera=image.place,
            )
        )
    return found


def load(path: Path, images: Path, labels: tuple[str, ...]) -> list[Example]:
    """Read the COCO file at `path` and return its labelled images. Raises DatasetError."""
    try:
        return examples(read(path), images, labels)
    except DatasetError as error:
        named = str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
        raise DatasetError(named) from None
