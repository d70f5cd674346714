"""What counts as a box on a frame. Pure: numbers in, checked boxes or LabelError out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.messages import Box

TOLERANCE: Final = 2.0
"""Pixels that a box may reach beyond its frame, as hands and roundings do; it is clipped to the frame."""
MAX_BOXES: Final = 500
"""Boxes on one frame; far above any real street, low enough for one small transaction."""


Mask = tuple[tuple[tuple[float, float], ...], ...]
"""Rings of a polygon, each of at least three points (x, y) in pixels of the frame, not closed; holes are not told."""


class LabelError(ValueError):
    """An answer that cannot be taken. `code` is for programs, the text for people, `detail` says more."""

    def __init__(self, code: str, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class LabelBox:
    """A labelled box: xyxy in pixels of the frame; `score` 0..1 where a machine gave it; `mask` its outline."""

    box: Box
    label: str
    score: float | None = None
    mask: Mask | None = None


def check_labels(names: Iterable[str], known: Collection[str]) -> None:
    """Raise LabelError, naming the first of `names` that is not among the `known` labels."""
    for name in names:
        if name not in known:
            raise LabelError(
                "unknown_label",
                f"label {name!r} does not exist; labels: {', '.join(known)}",
                {"label": name, "labels": list(known)},
            )


def clip(box: Box, width: int, height: int, tolerance: float = TOLERANCE) -> Box | None:
    """Return `box` cut to the frame; None where it has no area there or reaches more than `tolerance` pixels out."""
    x1, y1, x2, y2 = box
    if not all(math.isfinite(side) for side in box):
        return None
    if x1 < -tolerance or y1 < -tolerance or x2 > width + tolerance or y2 > height + tolerance:
        return None
    cut = (max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2))
    return cut if cut[2] > cut[0] and cut[3] > cut[1] else None


def check(boxes: Sequence[LabelBox], width: int, height: int, known: Collection[str]) -> list[LabelBox]:
    """Return `boxes` clipped to a frame of `width` x `height` pixels, or raise LabelError naming the first bad one."""
    if len(boxes) > MAX_BOXES:
        raise LabelError("too_many_boxes", f"{len(boxes)} boxes, more than the {MAX_BOXES} that a frame may have")
    check_labels((b.label for b in boxes), known)
    checked = []
    for number, given in enumerate(boxes):
        cut = clip(given.box, width, height)
        if cut is None:
            raise LabelError(
                "bad_box",
                f"box {number} {tuple(round(v, 1) for v in given.box)} is outside the {width} x {height} frame or has "
                "no area; give x1, y1, x2, y2 in pixels of the frame",
                {"index": number, "width": width, "height": height},
            )
        checked.append(LabelBox(cut, given.label, given.score, given.mask))
    return checked
