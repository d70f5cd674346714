"""Where the camera hangs and what it looks at: everything about one camera that its seed decides.

The world is in metres: X to the right, Y up from the road, Z away from the camera, which is at (0, height, 0) and
looks level; the horizon is moved by shifting the picture, so that projecting stays one division.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
NEAR = 2.0
"""Nothing nearer than this many metres is drawn."""
FAR = 95.0
"""Objects appear and vanish at this distance, where they are a few pixels high."""
LANE = 3.3
KERB = 1.2
WALK = 3.0


@dataclass(frozen=True)
class Lane:
    """A strip that things move along: `offset` metres right of the road's centre, `direction` +1 away or -1 towards."""

    kind: str
    offset: float
    direction: int
    speed: float
    """Metres per second."""
    spacing: float
    """Metres between neighbours on average."""


@dataclass(frozen=True)
class Layout:
    """One camera. Colours are BGR 0..255."""

    seed: int
    width: int
    height: int
    focal: float
    """Pixels."""
    horizon: float
    """Row of the horizon, pixels."""
    mast: float
    """Metres above the road."""
    heading: float
    """Of the road, radians from Z towards X."""
    middle: float
    """X of the road's centre line at Z = 12."""
    lanes: tuple[Lane, ...]
    half_road: float
    road: tuple[int, int, int]
    walk: tuple[int, int, int]
    verge: tuple[int, int, int]
    sky: tuple[int, int, int]
    stop_and_go: float
    """0 free flow .. 0.95 the traffic stops now and then."""
    period: float
    """Seconds of one stop and go."""

    def place(self, along: Points, across: Points) -> tuple[Points, Points]:
        """Return X, Z of points `along` metres down the road and `across` metres right of its centre."""
        s, c = sin(self.heading), cos(self.heading)
        return self.middle + along * s + across * c, 12.0 + along * c - across * s

    def project(self, points: Points) -> Points:
        """Return pixels ``[..., 2]`` of points ``[..., 3]`` (X, Y, Z); Z is taken as at least NEAR / 4."""
        scale = self.focal / np.maximum(points[..., 2], NEAR / 4)
        pixels = np.empty((*points.shape[:-1], 2))
        pixels[..., 0] = self.width / 2 + scale * points[..., 0]
        pixels[..., 1] = self.horizon + scale * (self.mast - points[..., 1])
        return pixels


def shade(random: np.random.Generator, base: tuple[int, int, int], spread: int) -> tuple[int, int, int]:
    """Return a colour near `base`."""
    shift, tint = random.integers(-spread, spread + 1), random.integers(-spread // 3, spread // 3 + 1, 3)
    values = [int(np.clip(b + shift + t, 5, 250)) for b, t in zip(base, tint, strict=True)]
    return values[0], values[1], values[2]


def make_lanes(random: np.random.Generator, count: int, density: float) -> tuple[tuple[Lane, ...], float]:
    """Return the lanes of a road with `count` lanes for cars, and half its width."""
    half = count * LANE / 2
    speed = float(random.uniform(6, 14))
    lanes: list[Lane] = []
    for index in range(count):
        offset = -half + LANE * (index + 0.5)
        direction = 1 if offset > 0 or count == 1 else -1
        lanes.append(
            Lane(
                "road",
                offset,
                direction,
                speed * float(random.uniform(0.8, 1.2)),
                float(random.uniform(24, 55)) / density,
            )
        )
    for side in (-1, 1):
        lanes.append(
            Lane(
                "cycle",
                side * (half + KERB / 2),
                side,
                float(random.uniform(3.5, 5.5)),
                float(random.uniform(40, 90)) / density,
            )
        )
        for direction in (-1, 1):
            where = side * (half + KERB + WALK * float(random.uniform(0.25, 0.8)))
            lanes.append(
                Lane("walk", where, direction, float(random.uniform(1.0, 1.5)), float(random.uniform(22, 60)) / density)
            )
        if random.random() < 0.4:
            lanes.append(Lane("parked", side * (half - 1.0), side, 0.0, float(random.uniform(10, 30))))
    return tuple(lanes), half


def make_layout(seed: int, width: int, height: int, density: float = 1.0) -> Layout:
    """Return the camera that `seed` stands for: the same street at any size of the picture."""
    random = np.random.default_rng([seed, 1])
    lanes, half = make_lanes(random, int(random.integers(2, 5)), density * float(random.uniform(0.7, 1.4)))
    parked = any(lane.kind == "parked" for lane in lanes)
    side = 1 if random.random() < 0.5 else -1
    turned = radians(float(random.uniform(4, 22))) * side
    if random.random() < 0.25:
        turned = radians(float(random.uniform(58, 80))) * side  # a camera that looks across the road
    across = abs(turned) > 0.8
    middle = float(random.uniform(-2, 2)) if across else -side * float(random.uniform(1.0, 4.0))
    return Layout(
        seed=seed, width=width, height=height,
        focal=width * float(random.uniform(0.72, 1.0)),
        horizon=height * float(random.uniform(0.12, 0.28)),
        mast=float(random.uniform(4.8, 7.5)),
        heading=turned, middle=middle, lanes=lanes, half_road=half + (1.2 if parked else 0.0),
        road=shade(random, (88, 86, 84), 22), walk=shade(random, (142, 148, 152), 22),
        verge=shade(random, (62, 112, 84), 28) if random.random() < 0.6 else shade(random, (118, 128, 138), 20),
        sky=shade(random, (222, 196, 168), 26),
        stop_and_go=float(random.choice([0.0, 0.5, 0.95])), period=float(random.uniform(24, 45)),
    )  # fmt: skip
