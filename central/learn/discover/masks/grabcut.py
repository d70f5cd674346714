"""Colours inside a box against those around it (GrabCut, Rother, Kolmogorov and Blake, SIGGRAPH 2004)."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np

from central.learn.discover.masks import Mask
from edge.runtime import Float
from edge.runtime.prepare import Image

SIDE: Final = 160
"""Longer side of the part that is worked on, pixels: outlines need no more."""
AROUND: Final = 0.25
"""Of the surroundings that are looked at, as a share of the box's sides."""
TURNS: Final = 3
CORE: Final = 0.4
"""Share of the box's sides around its middle that is taken to be object to begin with."""
LEAST: Final = 0.1
"""Share of the box that a mask must have; less means that the colours did not tell."""


def within(box: Float, width: int, height: int) -> tuple[int, int, int, int]:
    """Return `box` with its surroundings, in whole pixels of the image."""
    grow = AROUND * (box[2:] - box[:2])
    x1, y1 = np.floor(np.maximum(box[:2] - grow, 0)).astype(int)
    x2, y2 = np.ceil(np.minimum(box[2:] + grow, (width, height))).astype(int)
    return int(x1), int(y1), int(x2), int(y2)


def cut(image: Image, box: Float, likely: Mask | None = None) -> Mask:
    """Return the mask ``[H, W]`` of what is in `box`; `likely` ``[H, W]`` is taken for object to begin with, else the
    middle of the box. The whole box where colours do not tell."""
    height, width = image.shape[:2]
    whole = np.zeros((height, width), bool)
    bx1, by1 = (max(0, round(float(v))) for v in box[:2])
    bx2, by2 = max(bx1 + 1, round(float(box[2]))), max(by1 + 1, round(float(box[3])))
    whole[by1:by2, bx1:bx2] = True
    x1, y1, x2, y2 = within(box, width, height)
    if x2 - x1 < 4 or y2 - y1 < 4 or not whole.any():
        return whole
    scale = min(1.0, SIDE / max(x2 - x1, y2 - y1))
    size = max(4, round((x2 - x1) * scale)), max(4, round((y2 - y1) * scale))
    part = np.asarray(cv2.resize(image[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA), np.uint8)
    inside = cv2.resize(whole[y1:y2, x1:x2].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    start = np.where(inside, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    start[_core(whole, likely, (x1, y1, x2, y2), size) & inside] = cv2.GC_PR_FGD
    if not (start == cv2.GC_PR_FGD).any() or not (start == cv2.GC_BGD).any():
        return whole
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(part, start, (0, 0, 1, 1), models[0], models[1], TURNS, cv2.GC_INIT_WITH_MASK)
    found = (start == cv2.GC_PR_FGD) | (start == cv2.GC_FGD)
    back = cv2.resize(found.astype(np.uint8), (x2 - x1, y2 - y1), interpolation=cv2.INTER_NEAREST) > 0
    mask = np.zeros((height, width), bool)
    mask[y1:y2, x1:x2] = back
    mask &= whole
    return mask if mask.sum() >= LEAST * whole.sum() else whole


def _core(whole: Mask, likely: Mask | None, part: tuple[int, int, int, int], size: tuple[int, int]) -> Mask:
    x1, y1, x2, y2 = part
    if likely is not None and (likely & whole).any():
        chosen = likely[y1:y2, x1:x2]
    else:
        rows, columns = np.flatnonzero(whole.any(1)), np.flatnonzero(whole.any(0))
        chosen = np.zeros((y2 - y1, x2 - x1), bool)
        cy, cx = (rows[0] + rows[-1]) / 2 - y1, (columns[0] + columns[-1]) / 2 - x1
        hy, hx = len(rows) * (1 + CORE) / 4, len(columns) * (1 + CORE) / 4
        chosen[max(0, int(cy - hy)) : int(cy + hy) + 1, max(0, int(cx - hx)) : int(cx + hx) + 1] = True
    return cv2.resize(chosen.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0


class Cutter:
    """The way, ready."""

    def masks(self, image: Image, boxes: Float) -> list[Mask]:
        """Return the mask of each box."""
        return [cut(image, box) for box in boxes]


class GrabCut:
    """The way."""

    name = "grabcut"
    about = "colours inside the box against those around it"

    def open(self, model: str, trunk: Any) -> Cutter:
        """Return it; it needs neither."""
        return Cutter()


MASKS = GrabCut()
