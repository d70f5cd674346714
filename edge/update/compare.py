"""What two packs saw in the same frames, counted: how far they agree, which way scores went, what each takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.messages import MAX_SHADOWED, Shadow, ShadowCamera

IOU: Final = 0.5
"""From which two boxes are of the same object."""
CERTAIN: Final = 0.5
"""Score from which the old pack is certain of a box."""
ENOUGH: Final = 20
"""Such boxes, in all frames together, from which it is no accident that the new pack misses them."""


class Seen(msgspec.Struct, frozen=True):
    """What one pack reported in one frame: boxes xyxy in source pixels, and the milliseconds that it took."""

    ms: float
    boxes: list[tuple[float, float, float, float]]
    scores: list[float]
    labels: list[str]


def overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]``, xyxy."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.clip(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0.0, None)
    shared = sides.prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None, :] - shared, 1e-9), np.float64)


def matches(before: Seen, after: Seen) -> int:
    """Return how many boxes of the two are of the same object and label; each counts once, best overlap first."""
    if not before.boxes or not after.boxes:
        return 0
    gaps = overlaps(np.asarray(before.boxes, np.float64), np.asarray(after.boxes, np.float64))
    gaps *= np.asarray([[a == b for b in after.labels] for a in before.labels])
    count = 0
    while gaps.size and (best := float(gaps.max())) >= IOU:
        row, column = np.unravel_index(int(gaps.argmax()), gaps.shape)
        gaps[row, :] = gaps[:, column] = -best
        count += 1
    return count


@dataclass
class _Sums:
    frames: int = 0
    matched: int = 0
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)

    def add(self, before: Seen, after: Seen) -> None:
        self.frames += 1
        self.matched += matches(before, after)
        self.before += before.scores
        self.after += after.scores

    @property
    def agreement(self) -> float | None:
        boxes = len(self.before) + len(self.after)
        return min(1.0, 2 * self.matched / boxes) if boxes else None

    @property
    def score_shift(self) -> float | None:
        if not self.before or not self.after:
            return None
        return float(np.clip(np.mean(self.after) - np.mean(self.before), -1.0, 1.0))


class Comparison:
    """Grows by a frame at a time. `known`: labels of the new pack; None: all.

    `certain` counts the boxes that the old pack is certain of, of labels that the new one knows, and `kept` those of
    them that the new one reports too."""

    def __init__(self, known: frozenset[str] | None = None) -> None:
        self.certain = self.kept = 0
        self._known = known
        self._all = _Sums()
        self._cameras: dict[str, _Sums] = {}
        self._ms: list[tuple[float, float]] = []

    @property
    def frames(self) -> int:
        """How many there were."""
        return self._all.frames

    def add(self, camera: str, before: Seen, after: Seen) -> None:
        """Count one frame of `camera`."""
        for sums in (self._all, self._cameras.setdefault(camera, _Sums())):
            sums.add(before, after)
        sure = self._certain(before)
        self.certain += len(sure.boxes)
        self.kept += matches(sure, after)
        self._ms.append((before.ms, after.ms))

    def _certain(self, before: Seen) -> Seen:
        rows = [
            i
            for i, label in enumerate(before.labels)
            if before.scores[i] >= CERTAIN and (self._known is None or label in self._known)
        ]
        return Seen(
            before.ms, [before.boxes[i] for i in rows], [before.scores[i] for i in rows],
            [before.labels[i] for i in rows],
        )  # fmt: skip

    def verdict(self, slowest: float, least: float) -> str:
        """Say why the new pack must not run; empty where it may.

        `slowest`: latency over that of the old pack, at most; `least`: share that it must keep of what the old pack is
        certain of. These catch a pack that is broken on this node; whether one is better is judged at the centre, over
        many nodes.
        """
        seen = self.report()
        before, after = seen.latency_before_ms, seen.latency_after_ms
        if before and after and after > slowest * before:
            times = f"{after / before:.1f} times as slow as the pack before"
            return f"{times} ({after:.0f} ms, was {before:.0f}), {slowest:g} allowed"
        if self.certain < ENOUGH or self.kept >= least * self.certain:
            return ""
        return f"it sees {self.kept} of {self.certain} boxes of which the pack before is certain, {least:.0%} wanted"

    def report(self) -> Shadow:
        """Return what there is to say."""
        shared = self._all
        return Shadow(
            frames=shared.frames, agreement=shared.agreement, score_shift=shared.score_shift,
            boxes_before=len(shared.before), boxes_after=len(shared.after),
            latency_before_ms=median(a for a, _ in self._ms) if self._ms else None,
            latency_after_ms=median(b for _, b in self._ms) if self._ms else None,
            cameras=[_of(name, sums) for name, sums in sorted(self._cameras.items())[:MAX_SHADOWED]],
        )  # fmt: skip


def _of(name: str, sums: _Sums) -> ShadowCamera:
    return ShadowCamera(
        camera=name, frames=sums.frames, agreement=sums.agreement, score_shift=sums.score_shift,
        boxes_before=len(sums.before), boxes_after=len(sums.after),
    )  # fmt: skip
