"""Superpixels, grouped step by step into ever larger regions; the box of each region on the way is a proposal.

    image -> watershed from a grid of markers -> superpixels -> the two most alike neighbours are joined, and so on

Hierarchical grouping as in selective search (Uijlings et al., IJCV 2013, section 4): likeness is that of colour and
texture histograms, of sizes (small ones are joined first) and how well two regions fill their common box. Several
colour spaces and grids make up for the mistakes of each. Boxes are ranked by how well they hold what stands out of the
picture and nothing else, and, in turns with that, by how far their colours differ from those around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped,unused-ignore]

from central.learn.discover.proposals import NOTHING, Boxes, Kit, ranked, union
from central.learn.discover.saliency import agreement, content, contrast, geodesic, touching
from edge.runtime.prepare import Image

SIDE: Final = 192
"""Longer side that is worked on, pixels: finer detail only adds parts."""
BINS: Final = 8
"""Per colour channel."""
TURNS: Final = 8
"""Directions of the gradient."""
RUNS: Final = (("lab", 16, True), ("hsv", 16, False), ("lab", 9, False), ("bgr", 11, True))
"""Colour space, markers along the longer side, and whether sizes count."""
SPACES: Final = {"lab": cv2.COLOR_BGR2LAB, "hsv": cv2.COLOR_BGR2HSV}
LEAST_SIDE: Final = 8
"""Pixels of the shorter side, below which there is nothing to group."""
LEAST: Final = 0.0015
"""Share of the image below which a box is a part of anything that can be told."""
STANDS_OUT: Final = ("lab", 16)
"""Colour space and markers of the superpixels that saliency is computed on."""

Floats = NDArray[np.float32]


@dataclass
class Regions:
    """Regions while they are joined, room for all that come: sizes ``[R]`` pixels, histograms, boxes in pixels."""

    sizes: Floats
    colours: Floats
    textures: Floats
    boxes: Floats
    neighbours: list[set[int]]
    area: float


def superpixels(image: Image, markers: int) -> NDArray[np.int32]:
    """Return labels ``[H, W]`` from 0 of about ``markers`` per longer side, each grown from where little changes."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    edge = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    step = max(4, round(max(height, width) / markers))
    seeds = np.zeros((height, width), np.int32)
    count = 0
    for y in range(0, height, step):
        for x in range(0, width, step):
            cell = edge[y : y + step, x : x + step]
            low = int(cell.argmin())
            count += 1
            seeds[y + low // cell.shape[1], x + low % cell.shape[1]] = count
    grown = cv2.watershed(image, seeds)
    border = grown <= 0
    grown[border] = cv2.dilate(grown.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)[border]
    grown = np.maximum(grown, 0)
    there = np.bincount(grown.reshape(-1)) > 0
    return np.asarray((there.cumsum() - 1)[grown], np.int32)


def histograms(labels: NDArray[np.int32], values: NDArray[np.int64], bins: int, count: int) -> Floats:
    """Return the normalised histogram ``[count, channels * bins]`` of bin indices ``[H, W, channels]`` per label."""
    flat = labels.reshape(-1).astype(np.int64)
    channels = values.shape[2]
    found = np.zeros((count, channels, bins), np.float32)
    for channel in range(channels):
        index = flat * bins + values[:, :, channel].reshape(-1)
        found[:, channel] = np.bincount(index, minlength=count * bins).reshape(count, bins)
    found /= np.maximum(found.sum(2, keepdims=True), 1)
    return np.asarray(found.reshape(count, -1) / channels, np.float32)


def directions(image: Image) -> NDArray[np.int64]:
    """Return the direction of the gradient ``[H, W, 1]`` in TURNS bins, bin 0 where there is hardly any."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    x, y = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    turn = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * (TURNS - 1)).astype(np.int64).clip(0, TURNS - 2) + 1
    return np.where(np.abs(x) + np.abs(y) > 30, turn, 0)[:, :, None]


def regions(image: Image, labels: NDArray[np.int32], space: str) -> Regions:
    """Return the superpixels ``[H, W]`` of `image` as regions, with colours of `space`."""
    count = int(labels.max()) + 1
    pixels = cv2.cvtColor(image, SPACES[space]) if space in SPACES else image
    room = 2 * count
    made = Regions(
        np.zeros(room, np.float32), np.zeros((room, 3 * BINS), np.float32), np.zeros((room, TURNS), np.float32),
        np.zeros((room, 4), np.float32), [set() for _ in range(room)], float(labels.size),
    )  # fmt: skip
    made.sizes[:count] = np.bincount(labels.reshape(-1), minlength=count)
    made.colours[:count] = histograms(labels, (pixels // (256 // BINS)).astype(np.int64), BINS, count)
    made.textures[:count] = histograms(labels, directions(image), TURNS, count)
    for region, (down, across) in enumerate(ndimage.find_objects(labels + 1)):
        made.boxes[region] = across.start, down.start, across.stop, down.stop
    for one, other in touching(labels).tolist():
        made.neighbours[one].add(other)
        made.neighbours[other].add(one)
    return made


def likeness(known: Regions, one: int, others: NDArray[np.int64], sizes: bool) -> Floats:
    """Return how much region `one` goes with each of `others`, higher is more."""
    found = np.minimum(known.colours[others], known.colours[one]).sum(1)
    found = found + np.minimum(known.textures[others], known.textures[one]).sum(1)
    low = np.minimum(known.boxes[others, :2], known.boxes[one, :2])
    high = np.maximum(known.boxes[others, 2:], known.boxes[one, 2:])
    both = known.sizes[others] + known.sizes[one]
    found = found + 1 - ((high - low).prod(1) - both) / known.area
    return np.asarray(found + (1 - both / known.area if sizes else 0), np.float32)


def group(known: Regions, count: int, sizes: bool) -> Floats:
    """Join all regions, the most alike first, and return the boxes ``[R, 4]`` of all that there were."""
    alive = np.zeros(2 * count, bool)
    alive[:count] = True
    table = np.full((2 * count, 2 * count), -1.0, np.float32)
    for one in range(count):
        others = np.array(sorted(o for o in known.neighbours[one] if o > one), np.int64)
        if len(others):
            table[one, others] = likeness(known, one, others, sizes)
    best, partner = table.max(1), table.argmax(1)
    new = count
    while new < 2 * count - 1:
        one = int(best.argmax())
        if best[one] < 0:
            break
        other = int(partner[one])
        _join(known, one, other, new)
        alive[[one, other]], alive[new] = False, True
        table[[one, other]], table[:, [one, other]] = -1.0, -1.0
        best[[one, other]] = -1.0
        others = np.array(sorted(known.neighbours[new]), np.int64)
        stale = np.flatnonzero(((partner == one) | (partner == other)) & (best >= 0))
        if len(others):
            table[others, new] = likeness(known, new, others, sizes)
        for row in {*stale.tolist(), *others.tolist()}:
            partner[row] = table[row].argmax()
            best[row] = table[row, partner[row]]
        new += 1
    return known.boxes[:new]


def _join(known: Regions, one: int, other: int, new: int) -> None:
    a, b = known.sizes[one], known.sizes[other]
    known.sizes[new] = a + b
    for table in (known.colours, known.textures):
        table[new] = (a * table[one] + b * table[other]) / (a + b)
    known.boxes[new, :2] = np.minimum(known.boxes[one, :2], known.boxes[other, :2])
    known.boxes[new, 2:] = np.maximum(known.boxes[one, 2:], known.boxes[other, 2:])
    joined = (known.neighbours[one] | known.neighbours[other]) - {one, other}
    known.neighbours[new] = joined
    for neighbour in joined:
        known.neighbours[neighbour] -= {one, other}
        known.neighbours[neighbour].add(new)


class Grouping:
    """The way, ready."""

    key = "classical 2"

    def propose(self, image: Image, camera: str, path: Path | None) -> Boxes:
        """Return the boxes of all regions, those that stand out first."""
        left, top, right, bottom = content(image)
        inner = image[top:bottom, left:right]
        scale = min(1.0, SIDE / max(inner.shape[:2]))
        if min(inner.shape[:2]) * scale < LEAST_SIDE:
            return NOTHING
        small = cv2.resize(inner, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else inner
        small = np.ascontiguousarray(cv2.GaussianBlur(small, (3, 3), 0.8), np.uint8)
        found, cells = [], {(space, markers): superpixels(small, markers) for space, markers, _ in RUNS}
        for space, markers, sizes in RUNS:
            known = regions(small, cells[(space, markers)], space)
            found.append(group(known, len(known.sizes) // 2, sizes))
        boxes = np.unique(np.concatenate(found), axis=0)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1) / (small.shape[0] * small.shape[1])
        boxes = boxes[area >= LEAST]
        area = area[area >= LEAST]
        whole = ranked(boxes, agreement(geodesic(small, cells[STANDS_OUT]), boxes))
        apart = ranked(boxes, contrast(small, boxes) * area**0.25)
        best = union([whole, apart])
        size = np.array([inner.shape[1] / small.shape[1], inner.shape[0] / small.shape[0]] * 2, np.float32)
        return Boxes(best.boxes * size + np.array([left, top] * 2, np.float32), best.scores)


class Classical:
    """The way."""

    name = "classical"
    about = "regions of like colour and texture, grouped step by step"

    def open(self, kit: Kit) -> Grouping:
        """Return it."""
        return Grouping()


PROPOSALS = Classical()
