"""From a box to the outline of what is in it: one way per file.

    image, boxes -> masks [H, W] -> polygons in pixels, as annotations and exports have them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float
from edge.runtime.prepare import Image
from protocols import slots

SLOT: Final = "central.learn.discover.masks"
ATTRIBUTE: Final = "MASKS"
SMOOTH: Final = 0.006
"""How far an outline may be simplified, as a share of its length: a person must be able to edit it."""
LEAST_PART: Final = 0.05
"""Share of the largest part below which another one is noise."""
AGREES: Final = 0.8
"""IoU of a mask's own box with the box that it was asked for, from which it is kept."""

Mask = NDArray[np.bool_]
Ring = list[tuple[float, float]]


class MaskError(ValueError):
    """A way to make masks that cannot be used. The text says which, why, and what to do."""


class Opened(Protocol):
    """A way to make masks, ready."""

    def masks(self, image: Image, boxes: Float) -> list[Mask]:
        """Return a mask ``[H, W]`` for each of `boxes` ``[N, 4]`` (xyxy, pixels) in a BGR image ``[H, W, 3]``."""
        ...


class Member(Protocol):
    """``MASKS`` of a file in this folder."""

    name: str
    about: str

    def open(self, model: str, trunk: Any) -> Opened:
        """Return it ready; `model` is a local folder where it needs one, `trunk` a `Look` where there is one.

        Raises MaskError.
        """
        ...


def find(name: str) -> Member:
    """Return the way called `name`. Raises SlotError."""
    found: Member = slots.member(SLOT, ATTRIBUTE, name)
    return found


def ways() -> Mapping[str, Member]:
    """Return all ways by name."""
    return slots.members(SLOT, ATTRIBUTE)


def polygons(mask: Mask) -> list[Ring]:
    """Return the outer outlines of `mask` ``[H, W]`` as rings of (x, y), the largest first; none of an empty mask."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(c) for c in found]
    rings = []
    for place in np.argsort(areas)[::-1]:
        if areas[place] < LEAST_PART * max(areas) or areas[place] < 1:
            break
        length = cv2.arcLength(found[place], True)
        simple = cv2.approxPolyDP(found[place], SMOOTH * length, True).reshape(-1, 2)
        if len(simple) > 2:
            rings.append([(float(x), float(y)) for x, y in simple])
    return rings


def agrees(mask: Mask, box: Float, least: float = AGREES) -> bool:
    """Return whether `mask` fills `box` (xyxy, pixels): the IoU of its own box with it is at least `least`."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return False
    own = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    low, high = np.maximum(own[:2], box[:2]), np.minimum(own[2:], box[2:])
    shared = float(np.clip(high - low, 0, None).prod())
    total = float((own[2:] - own[:2]).prod() + (box[2:] - box[:2]).prod()) - shared
    return shared >= least * total


def outlines(opened: Opened, image: Image, boxes: Sequence[Sequence[float]], least: float = AGREES) -> list[list[Ring]]:
    """Return the rings of each of `boxes`; none where the mask does not fill its box."""
    asked = np.array(boxes, np.float32).reshape(-1, 4)
    found = opened.masks(image, asked) if len(asked) else []
    return [polygons(m) if agrees(m, box, least) else [] for m, box in zip(found, asked, strict=True)]
