"""The camera itself: draws what is there at time t, far to near, and says exactly what is to be seen.

backdrop -> shadows -> bodies and lamp posts, far to near (with an id map) -> lights -> rain -> lens and sensor
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.sources import Image
from edge.street import Truth
from edge.street.backdrop import POST_HEIGHT, Backdrop, make_backdrop
from edge.street.bodies import LAMP, TAIL, Face, faces_of
from edge.street.layout import NEAR, Layout, make_layout
from edge.street.lens import Lens
from edge.street.traffic import SIZES, Body, Placed, present

SHUTTER_DAY_S, SHUTTER_NIGHT_S = 0.004, 0.03
"""Exposure times; what moves further than LEAST_SMEAR pixels meanwhile is smeared."""
LEAST_SMEAR = 2.0
COARSE = 2
"""The id map that visible shares are counted in is this much smaller than the picture."""
TINY = 9.0
"""Pixels of height below which an object is one patch of its paint."""
HAZE_M = 260.0
"""Metres over which 63 % of the contrast is lost in clear air; rain divides it."""
LEAST_VISIBLE = 0.02
"""Objects with less of their silhouette visible are not in the truth."""
FRACTION = 4
"""Bits of sub-pixel position."""
SUN = (0.55, 0.35)
"""Ground shift of a shadow per metre of height: X, Z."""

FOOT = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)])
"""Corners of a footprint, as shares of half its length and width."""

Pixels = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """Faces as arrays: corners ``[n, 3]``, where each face starts; normals, first corners, colours ``[f, 3]``."""

    corners: Pixels
    starts: tuple[int, ...]
    normals: Pixels
    firsts: Pixels
    colours: Pixels
    wide: tuple[float, ...]
    """Metres of a limb; 0 for a solid face."""
    glowing: tuple[int, ...]
    """Faces that are lamps."""


@lru_cache(maxsize=8192)
def shape_of(faces: tuple[Face, ...]) -> Shape:
    """Return `faces` as arrays."""
    points = [face.points if face.normal is not None else face.points[:2] for face in faces]
    normals = np.stack([face.normal if face.normal is not None else np.zeros(3) for face in faces])
    wide = tuple(0.0 if face.normal is not None else float(face.points[2][0]) for face in faces)
    lamps = tuple(index for index, face in enumerate(faces) if face.colour is LAMP or face.colour is TAIL)
    starts = tuple(int(v) for v in np.cumsum([0] + [len(p) for p in points]))
    colours = np.array([face.colour for face in faces], np.float64)
    return Shape(np.concatenate(points), starts, normals, np.stack([p[0] for p in points]), colours, wide, lamps)


@dataclass(frozen=True)
class Drawn:
    """A body on its way to the picture."""

    placed: Placed
    shape: Shape
    corners: NDArray[np.int32]
    """``[n, 2]`` pixels in fixed point."""
    seen: list[int]
    """Faces that are turned to the camera, in painting order."""
    hull: NDArray[np.int32]
    """``[n, 1, 2]`` pixels in fixed point."""
    metre: float
    """Pixels of one metre at this distance."""


class Street:
    """One synthetic camera.

    `hour` 0..24, `rain` 0..1, `density` of the traffic (1 is usual), `noise` sensor noise in grey levels (None: by the
    light), `defocus` and `shake` in pixels, `motion` False freezes motion blur. Pictures depend on these and `t` alone.
    """

    def __init__(
        self, seed: int = 0, width: int = 640, height: int = 360, hour: float = 13.0, rain: float = 0.0,
        density: float = 1.0, noise: float | None = None, defocus: float = 0.0, shake: float = 0.0, motion: bool = True,
    ) -> None:  # fmt: skip
        self.layout: Layout = make_layout(seed, width, height, density)
        self.backdrop: Backdrop = make_backdrop(self.layout, hour, rain)
        day = self.backdrop.day
        self._rain, self._motion = rain, motion
        self._shutter = SHUTTER_DAY_S * day + SHUTTER_NIGHT_S * (1 - day)
        self._lens = Lens(self.layout, rain, noise if noise is not None else 1.5 + 4.5 * (1 - day), defocus, shake)
        self._posts = [(z, x) for x, z in self.backdrop.posts]

    def render(self, t: float) -> tuple[Image, list[Truth]]:
        """Return the BGR picture ``[height, width, 3]`` at `t` seconds (from 0) and everything to be seen in it."""
        bodies = [drawn for placed in present(self.layout, t) if (drawn := self._prepare(placed)) is not None]
        bodies.sort(key=lambda drawn: -drawn.placed.z)
        image = self.backdrop.image.copy()
        self._shadows(image, bodies)
        ids = np.zeros((self.layout.height // COARSE, self.layout.width // COARSE), np.uint16)
        posts = sorted(self._posts, reverse=True)
        for number, drawn in enumerate(bodies, start=1):
            while posts and posts[0][0] > drawn.placed.z:
                self._post(image, ids, posts.pop(0))
            self._body(image, drawn)
            cv2.fillConvexPoly(ids, drawn.hull // COARSE, number, cv2.LINE_8, FRACTION)
        for post in posts:
            self._post(image, ids, post)
        if self.backdrop.day < 0.6:
            self._lens.lights(
                image, [(d.placed, self._lamps(d.placed)) for d in bodies if d.placed.speed], self.backdrop.day
            )
        image, shift = self._lens.finish(image, t)
        return image, self._truth(bodies, ids, shift)

    def _prepare(self, placed: Placed) -> Drawn | None:
        """Project a body; None where it is outside the picture or too near."""
        layout = self.layout
        if placed.z < NEAR + 1.0:
            return None
        metre = layout.focal / placed.z
        middle = layout.width / 2 + placed.x * metre
        if not -9 * metre < middle < layout.width + 9 * metre:
            return None
        shape = shape_of(faces_of(placed))
        s, c = sin(placed.heading), cos(placed.heading)
        turn = np.array([[s, 0.0, c], [-c, 0.0, s], [0.0, 1.0, 0.0]])
        origin = np.array([placed.x, 0.0, placed.z])
        world = shape.corners @ turn + origin
        if world[:, 2].min() < NEAR:
            return None
        corners = (layout.project(world) * (1 << FRACTION) + 0.5).astype(np.int32)
        to_camera = turn @ (np.array([0.0, layout.mast, 0.0]) - origin)
        facing = (shape.normals * (to_camera - shape.firsts)).sum(axis=1) > -1e-9
        hull = cv2.convexHull(corners[:, None])
        return Drawn(placed, shape, corners, np.flatnonzero(facing).tolist(), np.asarray(hull, np.int32), metre)

    def _light(self, drawn: Drawn) -> NDArray[np.float64]:
        """Return the light ``[3]`` where the body stands."""
        x, y, wide, high = cv2.boundingRect(drawn.hull)
        column = min(max(0, (x + wide // 2) >> FRACTION), self.layout.width - 1)
        row = min(max(0, (y + high) >> FRACTION), self.layout.height - 1)
        return np.asarray(self.backdrop.light[row, column], np.float64)

    def _body(self, image: Image, drawn: Drawn) -> None:
        light, haze = self._light(drawn), np.array(self.backdrop.haze)
        lost = 1.0 - np.exp(-drawn.placed.z / HAZE_M * (1.0 + 3.0 * self._rain))
        keep, add = light * (1.0 - lost), haze * lost
        if cv2.boundingRect(drawn.hull)[3] >> FRACTION < TINY:
            colour = np.array(drawn.placed.body.paint) * keep * 0.85 + add
            cv2.fillConvexPoly(image, drawn.hull, colour.tolist(), cv2.LINE_8, FRACTION)
            return
        shape, corners = drawn.shape, drawn.corners
        tones = shape.colours * keep + add
        if self.backdrop.day < 0.6 and shape.glowing:
            tones[list(shape.glowing)] = shape.colours[list(shape.glowing)] * 1.1
        colours = tones.tolist()
        for index in drawn.seen:
            points = corners[shape.starts[index] : shape.starts[index + 1]]
            if shape.wide[index]:
                thick = max(1, round(shape.wide[index] * drawn.metre))
                cv2.line(image, points[0], points[1], colours[index], thick, cv2.LINE_8, FRACTION)
            else:
                cv2.fillPoly(image, [points], colours[index], cv2.LINE_8, FRACTION)
        if self._motion:
            self._smear(image, drawn)

    def _smear(self, image: Image, drawn: Drawn) -> None:
        """Blur the body along its way during the exposure."""
        placed, way = drawn.placed, drawn.placed.speed * self._shutter
        if way * drawn.metre < LEAST_SMEAR:
            return
        ahead = np.array([placed.x + way * sin(placed.heading), 0.5, placed.z + way * cos(placed.heading)])
        step = self.layout.project(ahead) - self.layout.project(np.array([placed.x, 0.5, placed.z]))
        length = float(np.hypot(step[0], step[1]))
        if length < LEAST_SMEAR:
            return
        size = int(length) | 1
        kernel = np.zeros((size, size), np.float32)
        half, unit = size // 2, step / length * (size // 2)
        cv2.line(
            kernel, (round(half - unit[0]), round(half - unit[1])), (round(half + unit[0]), round(half + unit[1])), 1.0
        )
        x, y, wide, high = (value >> FRACTION for value in cv2.boundingRect(drawn.hull))
        left, top = max(0, x - half), max(0, y - half)
        part = image[top : y + high + half + 1, left : x + wide + half + 1]
        if part.size:
            part[:] = cv2.filter2D(part, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)

    def _shadows(self, image: Image, bodies: list[Drawn]) -> None:
        """Lay the shade of every body on the ground."""
        mask = np.zeros(image.shape[:2], np.uint8)
        sunny = self.backdrop.day > 0.6 and self._rain < 0.3
        for drawn in bodies:
            placed = drawn.placed
            length, wide, high = SIZES[placed.body.shape]
            s, c = sin(placed.heading), cos(placed.heading)
            a, b = FOOT[:, 0] * length / 2, FOOT[:, 1] * (wide / 2 + 0.1)
            spots = np.zeros((8 if sunny else 4, 3))
            spots[:4, 0], spots[:4, 2] = placed.x + a * s - b * c, placed.z + a * c + b * s
            if sunny:
                spots[4:] = spots[:4] + np.array((SUN[0] * high, 0.0, SUN[1] * high))
            pixels = (self.layout.project(spots) * (1 << FRACTION)).astype(np.int32)
            cv2.fillConvexPoly(mask, cv2.convexHull(pixels[:, None]), 255, cv2.LINE_8, FRACTION)
        cv2.copyTo(self.backdrop.shadow, mask, image)

    def _post(self, image: Image, ids: NDArray[np.uint16], post: tuple[float, float]) -> None:
        """Draw a lamp post, which hides what is behind it."""
        z, x = post
        foot, top = (self.layout.project(np.array([x, up, z])) for up in (0.0, POST_HEIGHT))
        thick = max(1, round(0.16 * self.layout.focal / z))
        light = float(self.backdrop.light[min(max(0, int(foot[1])), self.layout.height - 1), 0, 1])
        a, b = foot.astype(int), top.astype(int)
        cv2.line(image, a.tolist(), b.tolist(), (70 * light, 72 * light, 74 * light), thick)
        cv2.line(ids, (a // COARSE).tolist(), (b // COARSE).tolist(), 0, max(1, thick // COARSE))
        if self.backdrop.day < 0.6:
            self._lens.glow(image, float(top[0]), float(top[1]), 1.3 * self.layout.focal / z, (150, 205, 235))

    def _lamps(self, placed: Placed) -> list[tuple[Pixels, bool]]:
        """Return the pixels of the lamps that face the camera, and whether they are head lamps."""
        if placed.body.label == "person":
            return []
        length, wide, _ = SIZES[placed.body.shape]
        s, c = sin(placed.heading), cos(placed.heading)
        front = c * placed.z + s * placed.x < 0
        end = length / 2 if front else -length / 2
        up = 0.7
        sides = (0.0,) if placed.body.label == "two_wheeler" else (-0.38 * wide, 0.38 * wide)
        spots = np.array([[placed.x + s * end - c * b, up, placed.z + c * end + s * b] for b in sides])
        return [(pixel, front) for pixel in self.layout.project(spots)]

    def _truth(self, bodies: list[Drawn], ids: NDArray[np.uint16], shift: tuple[float, float]) -> list[Truth]:
        """Return what is to be seen, far to near."""
        counts = np.bincount(ids.ravel(), minlength=len(bodies) + 1)
        scale, width, height = float(1 << FRACTION), float(self.layout.width), float(self.layout.height)
        truths: list[Truth] = []
        for number, drawn in enumerate(bodies, start=1):
            area = max(1.0, cv2.contourArea(drawn.hull) / scale**2 / COARSE**2)
            visible = min(1.0, float(counts[number]) / area)
            x, y, wide, high = cv2.boundingRect(drawn.hull)
            x1, x2 = (min(max(0.0, v / scale + shift[0]), width) for v in (x, x + wide))
            y1, y2 = (min(max(0.0, v / scale + shift[1]), height) for v in (y, y + high))
            if visible >= LEAST_VISIBLE and x2 - x1 >= 1 and y2 - y1 >= 1:
                body: Body = drawn.placed.body
                truths.append(Truth((x1, y1, x2, y2), body.label, body.track, round(visible, 3)))
        return truths
