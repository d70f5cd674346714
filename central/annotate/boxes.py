"""What counts as a box, an outline and a tag on a frame. Pure: what somebody sent in, checked or LabelError out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from protocols.messages import Box

TOLERANCE: Final = 2.0
"""Pixels that a box may reach beyond its frame, as hands and roundings do; it is clipped to the frame."""
SAME: Final = 0.85
"""IoU from which two boxes of one frame are of the same object."""
MAX_BOXES: Final = 500
"""Boxes on one frame; far above any real street, low enough for one small transaction."""
MAX_RINGS: Final = 20
"""Rings of one outline: an object that others cover falls into a few parts."""
MAX_POINTS: Final = 1000
"""Of all rings of one outline; a hand draws less than a hundred."""
MAX_FRAME_POINTS: Final = 20_000
"""Of all outlines on one frame: some 400 KB of JSON, within the limit of one request."""
TagState = Literal["present", "absent"]

Mask = tuple[tuple[tuple[float, float], ...], ...]
"""Rings of a polygon, each of at least three points (x, y) in pixels of the frame, not closed; holes are not told."""


class LabelError(ValueError):
    """An answer that cannot be taken. `code` is for programs, the text for people, `detail` says more."""

    def __init__(self, code: str, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class LabelBox:
    """A labelled box: xyxy in pixels of the frame; `score` 0..1 where a machine gave it; `mask` its outline; `origin`
    the id of the proposal that it came from, where somebody says so."""

    box: Box
    label: str
    score: float | None = None
    mask: Mask | None = None
    origin: str | None = None


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


def check_tags(tags: Mapping[str, str], known: Collection[str]) -> None:
    """Raise LabelError, naming the first of `tags` that is not among the `known` ones."""
    for name in tags:
        if name not in known:
            raise LabelError(
                "unknown_tag",
                f"tag {name!r} does not exist; tags: {', '.join(known)}",
                {"tag": name, "tags": list(known)},
            )


def mask_of(value: Any) -> Mask | None:
    """Return an outline as the database has it (rings of ``[x, y]``) as one of ours; None where there is none."""
    return tuple(tuple((float(x), float(y)) for x, y in ring) for ring in value) if value else None


def plain_mask(mask: Mask | None) -> list[list[list[float]]] | None:
    """Return an outline as JSON has it."""
    return None if mask is None else [[[x, y] for x, y in ring] for ring in mask]


def _point(x: float, y: float, width: int, height: int) -> tuple[float, float] | None:
    """Return a point cut to the frame, None where it is farther out than a hand slips."""
    if not (math.isfinite(x) and math.isfinite(y)):
        return None
    if not (-TOLERANCE <= x <= width + TOLERANCE and -TOLERANCE <= y <= height + TOLERANCE):
        return None
    return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))


def check_mask(mask: Mask, number: int, width: int, height: int) -> Mask:
    """Return the outline of box `number` cut to a frame of `width` x `height` pixels. Raises LabelError."""

    def bad(why: str) -> LabelError:
        return LabelError("bad_mask", f"outline of box {number}: {why}", {"index": number})

    if not 0 < len(mask) <= MAX_RINGS or sum(map(len, mask)) > MAX_POINTS:
        raise bad(f"give 1 to {MAX_RINGS} rings with together at most {MAX_POINTS} points")
    rings = []
    for ring in mask:
        points = [_point(x, y, width, height) for x, y in ring]
        if None in points:
            raise bad(f"a point is outside the {width} x {height} frame; give x, y in pixels of the frame")
        inside = [point for point in points if point is not None]
        if len(set(inside)) < 3:
            raise bad("a ring needs three points that differ")
        rings.append(tuple(inside))
    return tuple(rings)


def check(boxes: Sequence[LabelBox], width: int, height: int, known: Collection[str]) -> list[LabelBox]:
    """Return `boxes` clipped to a frame of `width` x `height` pixels, or raise LabelError naming the first bad one."""
    if len(boxes) > MAX_BOXES:
        raise LabelError("too_many_boxes", f"{len(boxes)} boxes, more than the {MAX_BOXES} that a frame may have")
    check_labels((b.label for b in boxes), known)
    if sum(len(ring) for b in boxes for ring in b.mask or ()) > MAX_FRAME_POINTS:
        raise LabelError("bad_mask", f"more than {MAX_FRAME_POINTS} points in the outlines of one frame")
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
        mask = None if given.mask is None else check_mask(given.mask, number, width, height)
        checked.append(LabelBox(cut, given.label, given.score, mask, given.origin))
    return checked
