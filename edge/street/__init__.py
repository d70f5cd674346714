"""The synthetic street: a procedural fixed camera with exact truth, for demos, tests and stress.

    Layout (seed) -> backdrop (once) -> traffic (t) -> bodies drawn far to near -> weather and lens -> image, truth

It is never a substitute for a measurement on real data. Everything is a pure function of the seed, the options and
the time, so frames can be rendered in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

LABELS = ("person", "two_wheeler", "car", "bus", "truck")
"""Classes that the street shows, in the order of the street profile."""


@dataclass(frozen=True)
class Truth:
    """One object in one frame.

    `box` xyxy in pixels, clipped to the picture; `track` is the same in every frame of one object; `visible` 0..1 is
    the share of its silhouette that is inside the picture and not hidden by something nearer.
    """

    box: tuple[float, float, float, float]
    label: str
    track: int
    visible: float
