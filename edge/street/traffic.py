"""Who is where at time t. Lanes are cut into blocks; what a block holds depends on seed, lane and block alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin

import numpy as np

from edge.street.layout import FAR, Lane, Layout

BLOCK = 60.0
"""Metres of one block of a lane."""
SHIFTS = {"car": 0.72, "truck": 0.10, "bus": 0.06, "two_wheeler": 0.12}
"""Shares of the kinds on a road lane."""
SIZES = {
    "car": (4.3, 1.78, 1.48),
    "van": (5.2, 2.0, 2.3),
    "bus": (11.5, 2.5, 3.1),
    "truck": (7.8, 2.4, 3.0),
    "two_wheeler": (1.9, 0.6, 1.7),
    "person": (0.45, 0.5, 1.72),
}
"""Length, width, height in metres."""
PAINTS = (
    (235, 235, 235), (205, 205, 202), (170, 172, 172), (120, 120, 122), (70, 68, 66), (38, 36, 36), (46, 40, 150),
    (40, 44, 190), (140, 84, 34), (112, 62, 28), (70, 110, 60), (92, 138, 168), (40, 150, 200),
)  # fmt: skip
CLOTHES = (
    (40, 38, 36), (70, 50, 40), (120, 60, 40), (50, 50, 160), (60, 120, 80), (180, 180, 184), (40, 160, 210),
    (140, 90, 120), (90, 90, 92), (210, 214, 216),
)  # fmt: skip
SKINS = ((120, 150, 200), (90, 120, 170), (60, 84, 124), (140, 172, 222))


@dataclass(frozen=True)
class Body:
    """One object as its block made it; `at` is metres down its lane at time zero."""

    label: str
    shape: str
    track: int
    at: float
    shift: float
    """Metres right of the lane's line."""
    scale: float
    paint: tuple[int, int, int]
    second: tuple[int, int, int]
    skin: tuple[int, int, int]
    pace: float
    """Steps or wheel turns: phase at time zero, 0..1."""


@dataclass(frozen=True)
class Placed:
    """A body at one moment: position on the ground, direction of travel and speed."""

    body: Body
    x: float
    z: float
    heading: float
    speed: float
    travelled: float


def pick(random: np.random.Generator, values: tuple[tuple[int, int, int], ...]) -> tuple[int, int, int]:
    """Return one of the colours."""
    return values[int(random.integers(len(values)))]


@lru_cache(maxsize=4096)
def block(seed: int, lane: int, kind: str, spacing: float, number: int) -> tuple[Body, ...]:
    """Return the bodies of one block of one lane."""
    random = np.random.default_rng([seed, 2, lane, number & 0xFFFFFFFF])
    bodies: list[Body] = []
    at = float(random.uniform(0, spacing * 0.5))
    while at < BLOCK - 2.0:
        label = shape = "person" if kind == "walk" else "two_wheeler"
        if kind in ("road", "parked"):
            label = str(random.choice(list(SHIFTS), p=list(SHIFTS.values()))) if kind == "road" else "car"
            shape = "van" if label == "car" and random.random() < 0.15 else label
        length = SIZES[shape][0]
        if at + length < BLOCK - 1.0:
            track = 1 + (lane * 1_000_003 + (number + 50_000) * 61 + len(bodies)) % 2_000_000_011
            shift = float(random.normal(0, 0.35 if kind == "walk" else 0.15))
            bodies.append(Body(
                label, shape, track, number * BLOCK + at + length / 2, shift, float(random.normal(1.0, 0.05)),
                pick(random, CLOTHES if kind in ("walk", "cycle") else PAINTS),
                pick(random, CLOTHES), pick(random, SKINS),
                float(random.random()),
            ))  # fmt: skip
        least = 1.0 if kind in ("walk", "cycle") else 1.2 if kind == "parked" else 4.0
        at += length + least + float(random.exponential(max(0.5, spacing - length - least)))
    return tuple(bodies)


def progress(layout: Layout, lane: Lane, t: float) -> tuple[float, float]:
    """Return metres that the lane has moved by time `t`, and its speed: one function per lane, so nobody collides."""
    wave = layout.stop_and_go if lane.kind == "road" else 0.0
    turn = 2 * pi / layout.period
    phase = 1.0 if lane.direction > 0 else 2.2
    moved = lane.speed * (t + wave / turn * (sin(turn * t + phase) - sin(phase)))
    return moved, lane.speed * (1.0 + wave * cos(turn * t + phase))


def reach(layout: Layout) -> tuple[float, float]:
    """Return from where to where down the road anything can be in the picture, metres."""
    c = max(0.15, abs(cos(layout.heading)))
    if c < 0.6:
        return -60.0, 60.0
    return -14.0 / c, (FAR - 12.0) / c


def present(layout: Layout, t: float) -> Iterator[Placed]:
    """Yield everything on the street at time `t` (seconds from 0), in no order."""
    low, high = reach(layout)
    for index, lane in enumerate(layout.lanes):
        moved, speed = progress(layout, lane, t)
        first, last = (low - moved, high - moved) if lane.direction > 0 else (-high - moved, -low - moved)
        for number in range(int(first // BLOCK), int(last // BLOCK) + 1):
            for body in block(layout.seed, index, lane.kind, round(lane.spacing, 3), number):
                along = (body.at + moved) * lane.direction
                if not low <= along <= high:
                    continue
                x, z = layout.place(np.float64(along), np.float64(lane.offset + body.shift))  # type: ignore[arg-type]
                heading = layout.heading + (0.0 if lane.direction > 0 else pi)
                yield Placed(body, float(x), float(z), heading, speed, moved)
