"""What single answers say of one image: clicks on objects, boxes that are right, boxes that are not.

    a click    only boxes that hold it can be the object of its class, and best is the one that has it in its middle
    a yes      only boxes like the confirmed one can
    a no       no box like the refused one can

Heads learn from bags whose other boxes do not count (for clicks Papadopoulos et al., "Training object class detectors
with click supervision", CVPR 2017); targets of the same images follow. Other objects of the class stay possible there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.annotate.asking.click import SPREAD
from central.learn.detect.coco import DatasetError
from edge.runtime import Float
from edge.runtime.nms import overlaps

LIKE: Final = 0.5
"""IoU from which a box is like one that was confirmed or refused."""
HEEDED: Final = 0.5
"""Score that the box which fits an answer has at least when it teaches: a person said so."""

Row = tuple[int, tuple[float, ...]]
"""A class, and x, y or x1, y1, x2, y2 in pixels of the image."""


@dataclass(frozen=True)
class Hints:
    """The answers about one image."""

    clicks: tuple[Row, ...] = ()
    right: tuple[Row, ...] = ()
    wrong: tuple[Row, ...] = ()

    @property
    def present(self) -> frozenset[int]:
        """The classes that the image is known to have from them."""
        return frozenset(label for label, _ in (*self.clicks, *self.right))

    def more(self, kind: str, row: Row) -> Hints:
        """Return these with another one of `kind` (``clicks``, ``right``, ``wrong``)."""
        return replace(self, **{kind: (*getattr(self, kind), row)})


NONE: Final = Hints()


def centred(boxes: Float, at: Sequence[float]) -> NDArray[np.float32]:
    """Return how well each of `boxes` ``[N, 4]`` has the point `at` in its middle: 1 there, 0 outside."""
    low, high, spot = boxes[:, :2], boxes[:, 2:], np.array(at, np.float32)
    off = (spot - (low + high) / 2) / np.maximum(high - low, 1e-6)
    inside = (np.abs(off) <= 0.5).all(1)
    return np.asarray(np.where(inside, np.exp(-(off**2).sum(1) / (2 * SPREAD**2)), 0), np.float32)


def fits(boxes: Float, hints: Hints, classes: int) -> NDArray[np.float32]:
    """Return by how much each of `boxes` ``[N, 4]`` can be an object of each class, ``[N, C]`` 0..1.

    The box that fits an answer best has 1; a class without an answer has 1 throughout; where no box holds a click, all
    have 0: nothing is to be learned of it there.
    """
    found = np.ones((len(boxes), classes), np.float32)
    for label in hints.present if len(boxes) else ():
        own = np.zeros(len(boxes), np.float32)
        for name, at in hints.clicks:
            own = np.maximum(own, _even(centred(boxes, at))) if name == label else own
        for name, box in hints.right:
            like = overlaps(boxes, np.array([box], np.float32))[:, 0]
            own = np.maximum(own, _even(np.where(like >= LIKE, like, 0))) if name == label else own
        found[:, label] = own
    for label, box in hints.wrong if len(boxes) else ():
        found[overlaps(boxes, np.array([box], np.float32))[:, 0] >= LIKE, label] = 0
    return found


def _even(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(values / max(float(values.max(initial=0.0)), 1e-6), np.float32)


def heard(scores: Float, fit: NDArray[np.float32], hints: Hints) -> Float:
    """Return scores ``[N, C]`` times what `fits` says; the best box of an answered class has HEEDED at least."""
    found = scores * fit
    for label in hints.present:
        best = float(found[:, label].max(initial=0.0))
        if best > 0:
            found[:, label] *= max(1.0, HEEDED / best)
    return np.asarray(found, np.float32)


def told(labels: NDArray[np.int8], hints: Mapping[int, Hints]) -> NDArray[np.int8]:
    """Return `labels` ``[I, C]`` (1, -1, 0) with what was clicked or confirmed in image i known to be present."""
    found = labels.copy()
    for place, own in hints.items():
        found[place, sorted(own.present)] = 1
    return found


@dataclass
class Gathered:
    """Hints by image, as they come in."""

    found: dict[int, Hints] = field(default_factory=dict)

    def add(self, place: int, kind: str, row: Row) -> None:
        """Take in another answer."""
        self.found[place] = self.found.get(place, NONE).more(kind, row)


def load(parts: Sequence[str], names: Sequence[str], paths: Sequence[Path]) -> dict[int, Hints]:
    """Return the clicks of all ``FILE.json:IMAGES`` by place in `paths`: ``{"file": [["car", x, y], ...], ...}``.

    Images that are not among `paths`, and classes not among `names`, are left out. Raises DatasetError.
    """
    places = {path.resolve(): place for place, path in enumerate(paths)}
    gathered = Gathered()
    for part in parts:
        file, _, images = part.partition(":")
        if not images:
            raise DatasetError(f"{part}: give CLICKS.json:IMAGES, clicks and the folder of their images")
        try:
            rows = json.loads(Path(file).read_bytes())
            listed = [(str(n), str(label), float(x), float(y)) for n, own in rows.items() for label, x, y in own]
        except (OSError, ValueError, TypeError, AttributeError):
            raise DatasetError(f'{file}: no clicks; give {{"file": [["car", x, y], ...], ...}}') from None
        for name, label, x, y in listed:
            place = places.get((Path(images) / name).resolve())
            if place is not None and label in names:
                gathered.add(place, "clicks", (list(names).index(label), (x, y)))
    return gathered.found
