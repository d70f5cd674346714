"""Shapes of vehicles, two-wheelers and people as flat faces in their own coordinates: drawn anew in true perspective.

Own coordinates: forward, left, up in metres, the origin on the ground below the middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray

from edge.street.traffic import SIZES, Body, Placed

Colour = tuple[float, float, float]
GLASS: Colour = (74, 62, 52)
TYRE: Colour = (26, 26, 27)
LAMP: Colour = (225, 240, 245)
TAIL: Colour = (40, 30, 175)
DARK: Colour = (44, 42, 41)
STEPS = 12
"""Phases of a stride or a turn of the pedals that are told apart."""
STRIDE_M = {"person": 1.5, "two_wheeler": 5.0}
"""Metres of one stride or turn of the pedals."""


@dataclass(frozen=True, eq=False)
class Face:
    """A convex polygon ``[n, 3]`` with its colour; seen where `normal` ``[3]`` faces the camera (None: always)."""

    points: NDArray[np.float64]
    colour: Colour
    normal: NDArray[np.float64] | None


PROFILES: dict[str, tuple[tuple[float, float], ...]] = {
    "car": ((-0.5, 0.2), (-0.5, 0.55), (-0.47, 0.64), (-0.36, 0.66), (-0.24, 0.98), (-0.02, 1.0), (0.1, 0.96),
            (0.24, 0.66), (0.44, 0.56), (0.5, 0.48), (0.5, 0.2)),
    "van": ((-0.5, 0.15), (-0.5, 0.95), (-0.47, 1.0), (0.2, 1.0), (0.27, 0.95), (0.4, 0.6), (0.5, 0.5), (0.5, 0.15)),
    "bus": ((-0.5, 0.12), (-0.5, 0.98), (-0.48, 1.0), (0.47, 1.0), (0.49, 0.96), (0.5, 0.5), (0.5, 0.12)),
}  # fmt: skip
"""Side views: (forward as a share of the length, up as a share of the height), from the rear bumper over the roof."""
GLAZED: dict[str, tuple[int, ...]] = {"car": (3, 6), "van": (4,), "bus": (4,)}
"""Edges of the profile that are windscreens, by number."""
WINDOWS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "car": (((-0.32, 0.68), (-0.23, 0.93), (-0.06, 0.95), (-0.06, 0.68)),
            ((-0.03, 0.68), (-0.03, 0.95), (0.08, 0.92), (0.19, 0.68))),
    "van": (((0.08, 0.6), (0.08, 0.92), (0.23, 0.92), (0.34, 0.62)),),
    "bus": tuple(((x, 0.52), (x, 0.86), (x + 0.14, 0.86), (x + 0.14, 0.52))
                 for x in (-0.46, -0.3, -0.14, 0.02, 0.18, 0.34)),
}  # fmt: skip


def shaded(colour: Colour, share: float) -> Colour:
    """Return `colour` lighter or darker."""
    return colour[0] * share, colour[1] * share, colour[2] * share


def side(points: list[tuple[float, float]], left: float, colour: Colour) -> Face:
    """Return a face in the plane `left` metres to the left, seen from that side."""
    return Face(np.array([(x, left, z) for x, z in points]), colour, np.array([0.0, np.sign(left), 0.0]))


def extruded(
    points: list[tuple[float, float]], half: float, colour: Colour, glazed: tuple[int, ...] = ()
) -> list[Face]:
    """Return the skin of a side view drawn out to both sides by `half` metres: its edges, then its two sides."""
    faces: list[Face] = []
    for index, (a, b) in enumerate(pairwise(points)):
        along = np.array([b[0] - a[0], b[1] - a[1]])
        normal = np.array([-along[1], 0.0, along[0]]) / max(1e-9, float(np.hypot(*along)))
        light = 0.8 + 0.28 * normal[2] + 0.05 * normal[0]
        tint = GLASS if index in glazed else shaded(colour, light)
        quad = np.array([(a[0], half, a[1]), (a[0], -half, a[1]), (b[0], -half, b[1]), (b[0], half, b[1])])
        faces.append(Face(quad, tint, normal))
    return [*faces, side(points, half, shaded(colour, 0.84)), side(points, -half, shaded(colour, 0.72))]


def wheel(x: float, radius: float, left: float) -> Face:
    """Return a tyre on the side of a vehicle."""
    turns = np.linspace(0, 2 * pi, 9)[:-1]
    return side([(x + radius * cos(a), radius + radius * sin(a)) for a in turns], left, TYRE)


def plate(x: float, low: float, high: float, left: float, right: float, colour: Colour) -> Face:
    """Return a flat thing on the front (x > 0) or rear."""
    points = np.array([(x, left, low), (x, right, low), (x, right, high), (x, left, high)])
    return Face(points, colour, np.array([np.sign(x), 0.0, 0.0]))


def lights(length: float, half: float, up: float) -> list[Face]:
    """Return head and tail lamps, and the dark between them."""
    faces: list[Face] = []
    for end, colour in ((length / 2 + 0.02, LAMP), (-length / 2 - 0.02, TAIL)):
        faces += [plate(end, up, up + 0.17, s * half * 0.95, s * half * 0.55, colour) for s in (-1.0, 1.0)]
        faces.append(plate(end, up - 0.28, up - 0.08, half * 0.8, -half * 0.8, DARK))
    return faces


def vehicle(shape: str, paint: Colour, scale: float) -> list[Face]:
    """Return the faces of a car, van or bus, in the order in which they are painted over each other."""
    length, width, height = (value * scale for value in SIZES[shape])
    half, points = width / 2, [(x * length, z * height) for x, z in PROFILES[shape]]
    faces = extruded(points, half, paint, GLAZED[shape])
    for sign in (-1.0, 1.0):
        left = sign * (half + 0.01)
        faces += [side([(x * length, z * height) for x, z in window], left, GLASS) for window in WINDOWS[shape]]
        sill = [(x * length / 2, z * height) for x, z in ((-1, 0.2), (-1, 0.27), (1, 0.27), (1, 0.2))]
        faces.append(side(sill, left, DARK))
        faces += [wheel(x * length, 0.33 if shape != "bus" else 0.48, sign * (half + 0.02)) for x in (-0.3, 0.32)]
    if shape == "bus":
        faces.append(plate(-length / 2 - 0.01, 0.55 * height, 0.85 * height, half * 0.8, -half * 0.8, GLASS))
    if shape == "van":
        faces.append(plate(-length / 2 - 0.01, 0.55 * height, 0.88 * height, half * 0.8, -half * 0.8, GLASS))
    return faces + lights(length, half, 0.55 if shape == "bus" else 0.42 * height)


def truck(paint: Colour, second: Colour, scale: float) -> list[Face]:
    """Return the faces of a truck: a box behind a cab."""
    length, width, height = (value * scale for value in SIZES["truck"])
    half, cut = width / 2, length * 0.24
    box = [(-length / 2, 0.75), (-length / 2, height), (cut, height), (cut, 0.75)]
    cab = [(cut + 0.1, 0.4), (cut + 0.1, 2.35), (length / 2 - 0.3, 2.35), (length / 2, 1.35), (length / 2, 0.4)]
    frame = [(-length / 2, 0.45), (-length / 2, 0.8), (cut, 0.8), (cut, 0.45)]
    pale: Colour = (214, 216, 216) if sum(second) < 250 else second
    behind = [*extruded(frame, half * 0.8, DARK), *extruded(box, half, pale)]
    front = extruded(cab, half * 0.96, paint, (2,))
    for sign in (-1.0, 1.0):
        left = sign * (half + 0.02)
        front.append(
            side([(cut + 0.5, 1.4), (cut + 0.5, 2.15), (length / 2 - 0.35, 2.15), (length / 2 - 0.1, 1.4)], left, GLASS)
        )
        front += [wheel(x * length, 0.46, left) for x in (-0.36, -0.24, 0.36)]
    return behind + front + lights(length, half, 0.6)


def limb(a: tuple[float, float, float], b: tuple[float, float, float], wide: float, colour: Colour) -> Face:
    """Return a flat limb from `a` to `b` that faces the camera (marked by a missing normal; widened when drawn)."""
    return Face(np.array([a, b, (wide, 0.0, 0.0)]), colour, None)


def person(paint: Colour, second: Colour, skin: Colour, height: float, step: float) -> list[Face]:
    """Return a walking person; `step` 0..1 is the phase of the stride."""
    swing = sin(2 * pi * step) * 0.28
    hip, shoulder, top = 0.5 * height, 0.82 * height, 0.94 * height
    arm = shaded(paint, 0.82)
    return [
        limb((0.0, 0.06, hip), (swing, 0.06, 0.06), 0.15, shaded(second, 0.85)),
        limb((0.0, 0.24, shoulder - 0.06), (swing * 0.8, 0.26, hip), 0.1, arm),
        limb((0.0, -0.06, hip), (-swing, -0.06, 0.06), 0.15, second),
        limb((0.0, 0.0, hip - 0.08), (0.0, 0.0, shoulder), 0.42, paint),
        limb((0.0, -0.24, shoulder - 0.06), (-swing * 0.8, -0.26, hip), 0.1, arm),
        limb((0.0, 0.0, shoulder), (0.0, 0.0, shoulder + 0.08), 0.11, skin),
        limb((0.0, 0.0, top - 0.09), (0.02, 0.0, top + 0.03), 0.19, skin),
        limb((-0.02, 0.0, top + 0.01), (0.0, 0.0, top + 0.07), 0.2, shaded(second, 0.5)),
    ]


def two_wheeler(paint: Colour, second: Colour, skin: Colour, scale: float, step: float, motor: bool) -> list[Face]:
    """Return a cyclist or a motorcyclist."""
    radius, push = 0.33 * scale, sin(2 * pi * step) * 0.12
    turns = np.linspace(0, 2 * pi, 11)[:-1]
    faces: list[Face] = []
    for x in (-0.55, 0.55):
        ring = [(x + radius * cos(a), radius + radius * sin(a)) for a in turns]
        faces += [
            limb((p[0], 0.0, p[1]), (q[0], 0.0, q[1]), 0.11 if motor else 0.06, TYRE)
            for p, q in zip(ring, ring[1:] + ring[:1], strict=True)
        ]
    body = paint if motor else shaded(second, 1.2)
    faces.append(limb((-0.5, 0.0, radius + 0.15), (0.35, 0.0, 0.72), 0.34 if motor else 0.07, body))
    faces.append(limb((0.55, 0.0, radius), (0.38, 0.0, 0.98), 0.08, DARK))
    faces += [
        limb((-0.12, 0.1, 0.88), (0.1, 0.1, 0.35 + push), 0.15, second),
        limb((-0.12, -0.1, 0.88), (0.1, -0.1, 0.35 - push), 0.15, shaded(second, 0.8)),
        limb((-0.15, 0.0, 0.85), (0.05, 0.0, 1.4), 0.42, paint),
        limb((0.05, 0.2, 1.35), (0.4, 0.2, 1.02), 0.1, shaded(paint, 0.85)),
        limb((0.1, 0.0, 1.5), (0.12, 0.0, 1.68), 0.22, shaded(second, 0.6) if motor else skin),
    ]
    return faces


@lru_cache(maxsize=2048)
def rigid(body: Body) -> tuple[Face, ...]:
    """Return the faces of a vehicle; they never change, so they are made once."""
    if body.shape == "truck":
        return tuple(truck(body.paint, body.second, body.scale))
    paint = body.paint if body.shape != "bus" else (60, 150, 214) if body.pace < 0.4 else body.paint
    return tuple(vehicle(body.shape, paint, body.scale))


@lru_cache(maxsize=8192)
def moving(body: Body, step: int) -> tuple[Face, ...]:
    """Return the faces of someone whose limbs move, in one of STEPS phases."""
    phase = step / STEPS
    if body.label == "person":
        return tuple(person(body.paint, body.second, body.skin, SIZES["person"][2] * body.scale, phase))
    return tuple(two_wheeler(body.paint, body.second, body.skin, body.scale, phase, body.pace < 0.4))


def faces_of(placed: Placed) -> tuple[Face, ...]:
    """Return the faces of anything, in its own coordinates, in painting order."""
    body = placed.body
    if body.label not in STRIDE_M:
        return rigid(body)
    return moving(body, int((body.pace + placed.travelled / STRIDE_M[body.label]) * STEPS) % STEPS)
