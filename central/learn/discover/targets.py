"""What was discovered, as labels that a detector learns from and proposals that a person confirms.

    judged boxes of an image, its tags -> boxes of the classes that are present, with confidence -> a COCO file

An image is complete for the classes that it is known not to have; of those that it has, more objects may be there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from central.learn.data import Example
from central.learn.discover.evaluate import APART
from central.learn.discover.fit import Drawn, Judged
from edge.runtime import Float
from edge.runtime.nms import suppress
from protocols import files

KEPT: Final = 0.5
"""Share of the best score of its class from which another box of an image is a target too."""
MOST: Final = 10
"""Of one class and image."""
Rings = list[list[tuple[float, float]]]


@dataclass(frozen=True)
class Targets:
    """Of one image: boxes ``[N, 4]`` xyxy in its pixels, classes ``[N]``, scores ``[N]`` 0..1, best first."""

    boxes: Float
    classes: NDArray[np.int64]
    scores: Float


def targets(judged: Judged, labels: NDArray[np.int8], sure: NDArray[np.float32], kept: float = KEPT) -> Targets:
    """Return the boxes of each class that labels ``[C]`` (1, -1, 0) say is present; scores count how `sure` that is."""
    boxes: list[Float] = []
    classes: list[NDArray[np.int64]] = []
    scores: list[Float] = []
    for label in np.flatnonzero(labels > 0) if len(judged.boxes) else ():
        own = judged.scores[:, label]
        places = suppress(judged.boxes, own, np.zeros(len(own), np.int64), APART, MOST)
        good = places[own[places] >= kept * own[places[0]]]
        boxes.append(judged.boxes[good])
        classes.append(np.full(len(good), label, np.int64))
        scores.append(own[good] * sure[label])
    if not boxes:
        return Targets(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    flat = np.concatenate(scores).clip(0, 1).astype(np.float32)
    order = np.argsort(-flat, kind="stable")
    return Targets(np.concatenate(boxes)[order].astype(np.float32), np.concatenate(classes)[order], flat[order])


def of_drawn(drawn: Drawn) -> Targets:
    """Return what a person drew as targets."""
    return Targets(drawn.boxes, drawn.classes, drawn.weights)


def examples(
    paths: Sequence[Path], found: Sequence[Targets], labels: NDArray[np.int8], drawn: Mapping[int, Drawn],
    complete: bool = False,
) -> list[Example]:  # fmt: skip
    """Return the images as training examples; one with boxes of a person is complete for all classes.

    `complete`: so are all others, as if each object of a present class had been found.
    """
    made = []
    for place, (path, own) in enumerate(zip(paths, found, strict=True)):
        person = place in drawn
        whole = np.ones(labels.shape[1], bool) if person or complete else labels[place] < 0
        made.append(Example(path, own.boxes, own.classes, own.scores, whole))
    return made


def coco(
    names: tuple[str, ...], listed: Sequence[tuple[str, int, int]], found: Sequence[Targets], labels: NDArray[np.int8],
    people: frozenset[int] = frozenset(), masks: Mapping[tuple[int, int], Rings] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return a COCO data set: `listed` are file, width and height of each image; `people` the images that a person
    drew the boxes of, which have no score; `masks` the rings of some boxes by image and place among its boxes."""
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for place, ((file, width, height), own) in enumerate(zip(listed, found, strict=True)):
        looked = names if place in people else [n for n, v in zip(names, labels[place], strict=True) if v < 0]
        tags = {n: "present" if v > 0 else "absent" for n, v in zip(names, labels[place], strict=True) if v}
        images.append(
            {"id": place + 1, "file_name": file, "width": width, "height": height, "complete_for": list(looked),
             "tags": tags}
        )  # fmt: skip
        for number, (box, label, score) in enumerate(zip(own.boxes.tolist(), own.classes, own.scores, strict=True)):
            x1, y1, x2, y2 = box
            row: dict[str, Any] = {
                "id": len(boxes) + 1, "image_id": place + 1, "category_id": int(label) + 1, "iscrowd": 0,
                "bbox": [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)], "area": round((x2 - x1) * (y2 - y1), 1),
            }  # fmt: skip
            if place not in people:
                row["score"] = round(float(score), 4)
            rings = (masks or {}).get((place, number))
            if rings:
                row["segmentation"] = [[v for point in ring for v in point] for ring in rings]
            boxes.append(row)
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    return {"images": images, "annotations": boxes, "categories": categories}


def write(path: Path, data: dict[str, Any]) -> None:
    """Write a COCO data set. Raises OSError."""
    files.write_atomic(path, json.dumps(data).encode())
