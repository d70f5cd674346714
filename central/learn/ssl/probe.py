"""How well frozen features tell objects apart: the class of the nearest neighbours (kNN), never of the same camera.

COCO boxes -> crops, each judged by those of other cameras;  class folders train/ and val/ -> one judges the other
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from central.learn.data.dataset import read_image
from central.learn.detect import coco as truths
from central.learn.ssl import Trunk
from central.learn.ssl.material import MaterialError
from central.learn.ssl.sources import SUFFIXES

SIDE: Final = 96
"""Pixels of a crop: more than most street objects have, so that the deepest level has nine cells."""
LEAST_SIDE: Final = 10.0
"""Pixels of the frame; a smaller box shows too little to be classified."""
MARGIN: Final = 0.1
"""Around a box, share of its size."""
NEIGHBOURS: Final = 20
TEMPERATURE: Final = 0.07
"""Of the votes (Wu et al., CVPR 2018, section 3.3; as DINO's evaluation has it): a nearer neighbour counts for more."""
MAJORITY: Final = 10
"""Neighbours of the plain vote of `majority`."""
BATCH: Final = 128


Vote = Callable[[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]], NDArray[Any]]
"""From classes and cosines ``[Q, K]`` of neighbours and the number of each class to scores ``[Q, C]``."""


@dataclass(frozen=True)
class Crops:
    """Pictures of objects, ``[N, SIDE, SIDE, 3]`` BGR; those of one group (a camera) never judge each other."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    names: tuple[str, ...]


def from_coco(path: Path, images: Path) -> Crops:
    """Return the objects of the COCO file at `path`, grouped by camera. Raises DatasetError, MaterialError."""
    data = truths.read(path)
    names = data.labels
    index = {c.id: names.index(c.name) for c in data.categories}
    boxes, places = data.by_image(), sorted({i.place for i in data.images})
    found, labels, groups = [], [], []
    for image in data.images:
        own = [b for b in boxes[image.id] if min(b.bbox[2:]) >= LEAST_SIDE and not b.iscrowd and image.labelled]
        frame = read_image(str(images / image.file_name)) if own else None
        for box in own if frame is not None else ():
            assert frame is not None
            x, y, w, h = box.bbox
            side = max(w, h) * (1 + 2 * MARGIN)
            left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
            scale = SIDE / side
            shown = cv2.warpAffine(
                frame, np.array([[scale, 0, -left * scale], [0, scale, -top * scale]]), (SIDE, SIDE),
                flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
            found.append(shown)
            labels.append(index[box.category_id])
            groups.append(places.index(image.place))
    if not found:
        raise MaterialError(f"{path}: no box of at least {LEAST_SIDE:.0f} pixels to probe with")
    if len(set(groups)) < 2:
        raise MaterialError(f"{path}: all boxes are of one camera; a probe needs others to judge by")
    return Crops(np.stack(found).astype(np.uint8), np.array(labels), np.array(groups), names)


def from_folders(path: Path) -> Crops:
    """Return the pictures in ``path/train/CLASS`` (group 0) and ``path/val/CLASS`` (1). Raises MaterialError."""
    names = tuple(sorted(p.name for p in (path / "train").glob("*") if p.is_dir()))
    found, labels, groups = [], [], []
    for group, part in enumerate(("train", "val")):
        for label, name in enumerate(names):
            for file in sorted((path / part / name).rglob("*")):
                image = read_image(str(file)) if file.suffix.lower() in SUFFIXES else None
                if image is not None:
                    found.append(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
                    labels.append(label)
                    groups.append(group)
    if len(set(groups)) < 2:
        raise MaterialError(f"{path}: a probe needs pictures in train/CLASS and val/CLASS, or give COCO.json:IMAGES")
    return Crops(np.stack(found).astype(np.uint8), np.array(labels), np.array(groups), names)


def parse(text: str) -> Crops:
    """Return the objects of ``COCO.json:IMAGES`` or of a folder of classes. Raises DatasetError, MaterialError."""
    first, _, second = text.partition(":")
    return from_coco(Path(first), Path(second)) if second else from_folders(Path(first))


@torch.no_grad()
def features(trunk: Trunk, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the means of the backbone's features of `images` (BGR), of all three levels, ``[N, C]``."""
    was, device = trunk.training, next(trunk.parameters()).device
    trunk.eval()
    found = []
    for start in range(0, len(images), BATCH):
        part = np.ascontiguousarray(images[start : start + BATCH, :, :, ::-1].transpose(0, 3, 1, 2))
        pixels = trunk.normalised(torch.from_numpy(part).to(device))
        levels = trunk.backbone(pixels)
        found.append(torch.cat([level.mean((2, 3)) for level in levels], 1).float().cpu().numpy())
    trunk.train(was)
    return np.concatenate(found)


def _standardised(bank: NDArray[np.float32], asked: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    mean, std = bank.mean(axis=0), bank.std(axis=0) + 1e-6
    made = [(points - mean) / std for points in (bank, asked)]
    return [np.asarray(p / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-9), np.float32) for p in made]


def _neighbours(
    points: NDArray[np.float32], crops: Crops, count: int
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]]:
    """Yield, group by group: who is asked ``[N]``, the classes ``[Q, count]`` and cosines of each one's nearest.

    And how many of each class there were to choose from, ``[C]``. Neighbours are of other groups; of two groups the
    first judges the second.
    """
    groups = np.unique(crops.groups)
    for group in groups if len(groups) > 2 else groups[1:]:
        own = crops.groups == group
        bank, asked = _standardised(points[~own], points[own])
        cosines = asked @ bank.T
        near = np.argsort(-cosines, axis=1)[:, :count]
        classes = crops.labels[~own]
        yield own, classes[near], np.take_along_axis(cosines, near, 1), np.bincount(classes, minlength=len(crops.names))


def _judged(points: NDArray[np.float32], crops: Crops, count: int, vote: Vote, balanced: bool) -> float:
    """Return the share that `vote` of the `count` nearest is right about; `balanced`: the mean over classes."""
    right, asked = np.zeros(len(points), bool), np.zeros(len(points), bool)
    for own, classes, cosines, counts in _neighbours(points, crops, count):
        right[own] = vote(classes, cosines, counts).argmax(axis=1) == crops.labels[own]
        asked |= own
    if not balanced:
        return float(right[asked].mean())
    judged = [right[asked & (crops.labels == c)] for c in np.unique(crops.labels[asked])]
    return float(np.mean([j.mean() for j in judged]))


def knn(points: NDArray[np.float32], crops: Crops, balanced: bool = True) -> float:
    """Return the share 0..1 of `points` ``[N, C]`` whose class is that which their nearest neighbours vote for.

    A vote counts exp(cosine / TEMPERATURE). `balanced`: the mean over classes, and each class votes with the same
    weight in sum, however many objects it has; else the share of all objects, by votes as they are. Most objects of a
    street are cars: without it whatever is rare is outvoted, and hardly anything but cars is ever said.
    """

    def vote(classes: NDArray[np.int64], cosines: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[Any]:
        votes = np.exp(cosines.astype(np.float64) / TEMPERATURE)
        sums = np.stack([(votes * (classes == c)).sum(axis=1) for c in range(len(counts))], 1)
        return np.asarray(sums / np.maximum(counts, 1) if balanced else sums)

    return _judged(points, crops, NEIGHBOURS, vote, balanced)


def majority(points: NDArray[np.float32], crops: Crops) -> float:
    """Return the mean over classes of the share 0..1 that most of the MAJORITY nearest neighbours are right about."""

    def vote(classes: NDArray[np.int64], _: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[Any]:
        return np.asarray(np.apply_along_axis(np.bincount, 1, classes, minlength=len(counts)))

    return _judged(points, crops, MAJORITY, vote, True)


def probe(trunk: Trunk, crops: Crops) -> dict[str, float]:
    """Return ``knn`` (mean over classes) and ``knn_all`` (over objects) of the frozen features of `trunk`, 0..1."""
    points = features(trunk, crops.images)
    return {"knn": knn(points, crops), "knn_all": knn(points, crops, balanced=False)}
