"""Where to hide, and how: pure functions of image and geometry; the input is never modified."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edge.sources import Image
from protocols.messages import Box, Detection, Redaction

Method = Literal["fill", "blur", "pixelate"]
Part = Literal["box", "head"]
Polygon = Sequence[tuple[float, float]]
"""Corners as shares of width and height, 0..1."""

FILL = (0, 0, 0)
"""BGR: a colour that nobody takes for part of the scene."""
MARGIN = 0.08
"""By which a region is widened, relative to its size: boxes are never quite exact."""
HEAD_SHARE = 0.25
"""Of a standing person's box, from the top: a head is an eighth, doubled for stooping, hats and loose boxes."""
HEAD_OF_WIDTH = 0.6
"""Of the box's width: of somebody who sits, or whose legs are out of the picture, the head is more of the height."""
LYING = 1.2
"""Width over height from which nobody knows at which end the head is: all of the box is hidden."""
CELLS = 6
"""Pixelated regions keep this many cells across their shorter side: too few for a face or a number plate."""
BLUR_SHARE = 0.35
"""Standard deviation of the blur, in cells: their edges melt, nothing comes back."""
FRACTION = 4


@dataclass(frozen=True)
class Regions:
    """Which detections are hidden, which part of them, and how."""

    labels: frozenset[str] = frozenset()
    method: Method = "pixelate"
    part: Part = "box"


def fill_masks(image: Image, polygons: Sequence[Polygon]) -> Image:
    """Return `image` with the `polygons` filled."""
    if not polygons:
        return image
    size = np.array([image.shape[1], image.shape[0]], np.float64)
    result = image.copy()
    for polygon in polygons:
        corners = np.round(np.array(polygon, np.float64) * size * (1 << FRACTION)).astype(np.int32)
        cv2.fillPoly(result, [corners], FILL, cv2.LINE_8, FRACTION)
    return result


def mask_boxes(polygons: Sequence[Polygon], width: int, height: int) -> list[Redaction]:
    """Return the record of the masks in a picture of that size."""
    records = []
    for polygon in polygons:
        xs, ys = [x * width for x, _ in polygon], [y * height for _, y in polygon]
        records.append(Redaction(kind="mask", method="fill", box=(min(xs), min(ys), max(xs), max(ys))))
    return records


def head_of(box: Box) -> Box:
    """Return the part of a person's `box` that holds the head, whether they stand, sit or are cut by the border."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    if width > LYING * height:
        return box
    return x1, y1, x2, min(y2, y1 + max(HEAD_SHARE * height, HEAD_OF_WIDTH * width))


def region_of(box: Box, part: Part, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return the whole pixels (x1, y1, x2, y2) to hide for a detection; None where nothing of it is in the picture."""
    x1, y1, x2, y2 = box if part == "box" else head_of(box)
    wide, high = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
    left, top = max(0, int(np.floor(x1 - wide))), max(0, int(np.floor(y1 - high)))
    right, bottom = min(width, int(np.ceil(x2 + wide))), min(height, int(np.ceil(y2 + high)))
    return (left, top, right, bottom) if left < right and top < bottom else None


def obscure(part: Image, method: Method) -> Image:
    """Return a region ``[h, w, 3]`` made unreadable."""
    height, width = part.shape[:2]
    short = min(height, width)
    if method == "fill":
        return np.full_like(part, FILL)
    if method == "blur":
        # from the cells on, so that a blur can never be undone by sharpening
        return np.asarray(
            cv2.GaussianBlur(obscure(part, "pixelate"), (0, 0), max(1.0, BLUR_SHARE * short / CELLS)), np.uint8
        )
    cells = (max(1, round(CELLS * width / short)), max(1, round(CELLS * height / short)))
    cells = (min(cells[0], max(1, width // 2)), min(cells[1], max(1, height // 2)))
    small = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def hide_regions(image: Image, detections: Iterable[Detection], regions: Regions) -> tuple[Image, list[Redaction]]:
    """Return `image` with the regions of secret labels hidden, and the record of them."""
    result, records = image, []
    for detection in detections:
        if detection.label not in regions.labels:
            continue
        area = region_of(detection.box, regions.part, image.shape[1], image.shape[0])
        if area is None:
            continue
        if result is image:
            result = image.copy()
        x1, y1, x2, y2 = area
        # from what is hidden so far: where regions overlap, one never uncovers what another hid
        result[y1:y2, x1:x2] = obscure(result[y1:y2, x1:x2], regions.method)
        records.append(
            Redaction(kind="region", method=regions.method, box=(float(x1), float(y1), float(x2), float(y2)))
        )
    return result, records
