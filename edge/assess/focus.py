"""A focus that goes slowly, over hours or weeks, as lenses age, warm and gather dirt.

What is usual within a minute follows such a loss. So the detail of the last minute is compared with what this camera
has shown in like light since it was started: night shows less than day, and neither is a fault. That memory rises to a
sharper picture within hours and sinks to a softer one only over weeks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Small = NDArray[np.float32]
"""Fine detail ``[h, w]`` of tiles, as in `edge.assess.health.Look`."""

RECENT_S = 60.0
"""Seconds over which the recent detail is averaged: what passes hardly shows in it."""
MOST, LEAST = 0.2, 0.05
"""By which share of the recent detail, and at least by how much, one look counts as different: a lorry that fills the
picture has ten times the detail of an empty street, and must leave no trace."""
STEP_S = 30.0
"""Seconds between two looks at the slow course."""
LEARN_STEPS = 20
"""Steps in like light, ten minutes, before anything can be said."""
MEMORY_STEPS = 1440
"""Steps, twelve hours in like light, over which a better focus is learned."""
SINKING = 0.02
"""How fast a worse one is, relative to that: by half in seventeen days of such light."""
LIGHTS = 32.0
"""Mean grey levels that count as like light."""
SOFT, SHARP = 0.5, 0.6
"""Share of the remembered detail under which the focus is lost, and from which it is found again."""
RICH, LEAST_DETAIL = 75.0, 0.5
"""Percentile of the usual detail, and its least, from which a tile can tell a loss."""


def ranked(values: NDArray[np.generic], percent: float) -> float:
    """Return the value that `percent` of `values` do not exceed (nearest rank); far cheaper than `np.percentile`."""
    place = min(values.size - 1, int(values.size * percent / 100.0))
    return float(np.partition(values, place, axis=None)[place])


def left(usual: Small, new: Small) -> float:
    """Return the share of the `usual` detail that is left in `new`, at the places where there is most to lose."""
    rich = usual >= max(LEAST_DETAIL, ranked(usual, RICH))
    return ranked(new[rich] / usual[rich], 50.0) if rich.any() else 1.0


@dataclass
class _Known:
    detail: Small
    steps: int = 0

    def learn(self, recent: Small) -> None:
        self.steps += 1
        first = 1.0 / self.steps
        rise = np.float32(max(first, 1.0 / MEMORY_STEPS))
        sink = np.float32(first if self.steps <= LEARN_STEPS else SINKING / MEMORY_STEPS)
        self.detail = self.detail + np.where(recent > self.detail, rise, sink) * (recent - self.detail)


class Focus:
    """The slow course of one camera's focus."""

    def __init__(self) -> None:
        self.lost = ""
        """What is wrong, in words; empty where all is well."""
        self._recent: Small = np.zeros((0, 0), np.float32)
        self._known: dict[int, _Known] = {}
        self._light = self._last = self._next = 0.0

    def see(self, detail: Small, light: float, now: float) -> str:
        """Take in the `detail` of a well-lit view at time `now`, seconds; `light` is its mean grey level. Returns
        `lost`."""
        if self._recent.shape != detail.shape:
            self._recent, self._known, self.lost = detail, {}, ""
            self._light, self._last, self._next = light, now, now + STEP_S
        share, most = min(1.0, (now - self._last) / RECENT_S), MOST * self._recent + np.float32(LEAST)
        self._recent = self._recent + np.float32(share) * np.clip(detail - self._recent, -most, most)
        bright = MOST * self._light + 1.0  # as fast as the detail, so that both are of the same light
        self._light, self._last = self._light + share * min(bright, max(-bright, light - self._light)), now
        if now >= self._next:
            self._next = now + STEP_S
            self._step(self._known.setdefault(int(self._light / LIGHTS), _Known(self._recent)))
        return self.lost

    def _step(self, known: _Known) -> None:
        share = left(known.detail, self._recent)
        if known.steps >= LEARN_STEPS:
            soft = share < (SHARP if self.lost else SOFT)
            self.lost = (
                f"defocused: {share:.0%} is left of the detail that this camera has shown in such light; "
                "clean the lens or set its focus"
            ) if soft else ""  # fmt: skip
        known.learn(self._recent)
