"""What never moves: sky, houses, ground, road and markings, drawn once per camera and hour."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.sources import Image
from edge.street.layout import FAR, KERB, LANE, WALK, Layout, shade

FINE = 2
"""Drawn this much larger, then averaged: smooth edges for what is drawn only once."""
NEAREST = 1.0
"""Metres in front of the camera at which the ground begins."""
FLOOR_M = 3.2
POST_GAP = 24.0
POST_HEIGHT = 6.5
Colour = tuple[float, float, float]
Light = NDArray[np.float32]


@dataclass(frozen=True)
class Backdrop:
    """`image` as it looks, `shadow` the same in shade, `light` ``[H, W, 3]`` how bright a thing is there (1 = day)."""

    image: Image
    shadow: Image
    light: Light
    day: float
    haze: Colour
    posts: tuple[tuple[float, float], ...]
    """X, Z of lamp posts."""


def daylight(hour: float) -> float:
    """Return 0 (night) .. 1 (day) for an hour 0..24."""
    return float(np.clip(0.5 + 1.6 * sin((hour - 6.0) / 12.0 * pi), 0.0, 1.0))


class Painter:
    """Draws in world coordinates on a canvas FINE times larger."""

    def __init__(self, layout: Layout, canvas: Image) -> None:
        self.layout, self.canvas = layout, canvas

    def quad(self, corners: list[tuple[float, float, float]], colour: Colour) -> None:
        """Fill a polygon of (along, across, up) corners; one that reaches behind the camera is left out."""
        points = np.array(corners)
        x, z = self.layout.place(points[:, 0], points[:, 1])
        if z.min() < NEAREST:
            return
        pixels = self.layout.project(np.stack([x, points[:, 2], z], axis=1))
        cv2.fillPoly(self.canvas, [np.clip(pixels * FINE * 16, -2e8, 2e8).astype(np.int32)], colour, cv2.LINE_AA, 4)

    def strip(
        self, left: float, right: float, colour: Colour, up: float = 0.0, dash: tuple[float, float] | None = None
    ) -> None:
        """Fill a strip along the road between two offsets; `dash` is (length, gap) in metres."""
        length, gap = dash or (2.0, 0.0)
        start = -90.0
        while start < FAR * 1.6:
            end = start + length + (0.02 if not gap else 0.0)
            self.quad([(start, left, up), (end, left, up), (end, right, up), (start, right, up)], colour)
            start += length + gap


def camera_across(layout: Layout) -> float:
    """Return how many metres right of the road's centre line the camera hangs."""
    s, c = np.sin(layout.heading), np.cos(layout.heading)
    return float(-layout.middle * c + 12.0 * s)


def paint_houses(painter: Painter, random: np.random.Generator, night: float) -> None:
    """Draw a row of houses on each side that does not hide the road."""
    layout = painter.layout
    for side in (-1, 1):
        front = side * (layout.half_road + KERB + WALK + float(random.uniform(1.0, 5.0)))
        filled = float(random.uniform(0.55, 1.0))
        if camera_across(layout) * side > abs(front) - 2.0:
            continue
        rows: list[tuple[float, float, float, Colour]] = []
        at = -80.0
        while at < FAR * 1.5:
            wide, high = float(random.uniform(9, 22)), float(random.integers(2, 7)) * FLOOR_M + 1.0
            tone = ((150, 160, 172), (120, 140, 176), (170, 176, 178), (96, 112, 150), (140, 150, 150))[
                int(random.integers(5))
            ]
            if random.random() < filled:
                rows.append((at, at + wide, high, shade(random, tone, 22)))
            at += wide + (0.0 if random.random() < 0.6 else float(random.uniform(2, 8)))
        towards = np.cos(layout.heading) >= 0
        for start, end, high, colour in sorted(rows, key=lambda row: row[0], reverse=bool(towards)):
            paint_house(painter, random, start, end, front, high, colour, night)


def paint_house(
    painter: Painter,
    random: np.random.Generator,
    start: float,
    end: float,
    front: float,
    high: float,
    colour: Colour,
    night: float,
) -> None:
    """Draw one house: the wall that faces the camera's end, then the front in columns with windows."""
    deep = front + (12.0 if front > 0 else -12.0)
    dark = (colour[0] * 0.72, colour[1] * 0.72, colour[2] * 0.72)
    painter.quad([(start, front, 0), (start, deep, 0), (start, deep, high), (start, front, high)], dark)
    columns = max(1, round((end - start) / 3.0))
    step = (end - start) / columns
    glass: Colour = (96, 84, 74)
    for index in range(columns):
        a, b = start + index * step, start + (index + 1) * step
        painter.quad([(a, front, 0), (b + 0.02, front, 0), (b + 0.02, front, high), (a, front, high)], colour)
        for floor in range(int(high / FLOOR_M)):
            low, lit = floor * FLOOR_M + 1.0, random.random() < 0.3
            pane: Colour = (150, 205, 235) if lit and night > 0.4 else glass
            u, v = a + 0.25 * step, a + 0.75 * step
            painter.quad([(u, front, low), (v, front, low), (v, front, low + 1.6), (u, front, low + 1.6)], pane)
    painter.quad(
        [(start, front, high - 0.35), (end, front, high - 0.35), (end, front, high), (start, front, high)], dark
    )


def paint_trees(painter: Painter, random: np.random.Generator) -> None:
    """Draw trees behind the pavements, far ones first."""
    layout = painter.layout
    count = int(random.integers(0, 16))
    spots = sorted(((float(random.uniform(0, FAR)), int(random.choice([-1, 1]))) for _ in range(count)), reverse=True)
    for along, side in spots:
        across = side * (layout.half_road + KERB + WALK + 0.8)
        x, z = layout.place(np.float64(along), np.float64(across))  # type: ignore[arg-type]
        if z < 9.0 or camera_across(layout) * side > abs(across):
            continue
        high = float(random.uniform(5, 9))
        foot, top = (layout.project(np.array([float(x), up, float(z)])) * FINE for up in (0.0, high * 0.6))
        size = layout.focal / float(z) * FINE
        cv2.line(
            painter.canvas, foot.astype(int).tolist(), top.astype(int).tolist(), (50, 62, 74), max(1, int(0.3 * size))
        )
        for _ in range(38):
            dx, dy = random.normal(0, 0.2 * high, 2)
            green = shade(random, (44, 92, 62), 26)
            centre = (int(top[0] + dx * size), int(top[1] + (0.7 * dy - 0.12 * high) * size))
            cv2.circle(
                painter.canvas, centre, max(1, int(float(random.uniform(0.3, 0.75)) * size)), green, -1, cv2.LINE_AA
            )


def paint_road(painter: Painter, random: np.random.Generator) -> None:
    """Draw pavements, kerbs, the road and its markings."""
    layout, half = painter.layout, painter.layout.half_road
    edge = half + KERB + WALK
    painter.strip(-edge, edge, layout.walk)
    painter.strip(-half - KERB, half + KERB, shade(random, layout.road, 10))
    painter.strip(-half - 0.12, half + 0.12, (176, 180, 182))
    painter.strip(-half, half, layout.road)
    white: Colour = (200, 204, 206)
    offsets = [lane.offset for lane in layout.lanes if lane.kind == "road"]
    centre = (90, 190, 214) if random.random() < 0.4 else white
    for left, right in pairwise(offsets):
        middle = (left + right) / 2
        if abs(middle) < LANE / 2 - 0.1:
            painter.strip(middle - 0.16, middle - 0.05, centre)
            painter.strip(middle + 0.05, middle + 0.16, centre)
        else:
            painter.strip(middle - 0.07, middle + 0.07, white, dash=(3.0, 4.5))
    if random.random() < 0.6:
        at = float(random.uniform(4, 22))
        for index in range(int(2 * half)):
            across = -half + index + 0.25
            painter.quad(
                [(at, across, 0), (at + 3.0, across, 0), (at + 3.0, across + 0.5, 0), (at, across + 0.5, 0)], white
            )


def texture(layout: Layout, random: np.random.Generator, canvas: Image) -> Image:
    """Return `canvas` with grain and stains: coarser at the bottom, where the ground is near."""
    height, width = canvas.shape[:2]
    grain = cv2.GaussianBlur(random.normal(0, 9, (height, width)).astype(np.float32), (0, 0), 1.1)
    stains = cv2.resize(
        random.normal(0, 5.0, (max(2, height // 24), max(2, width // 60))).astype(np.float32), (width, height)
    )
    rows = np.linspace(-0.3, 1.2, height, dtype=np.float32)[:, None]
    below = np.clip(rows, 0.15, 1.0)
    return np.clip(canvas + ((grain + stains) * below)[..., None], 0, 255).astype(np.uint8)


def lamp_light(layout: Layout, posts: tuple[tuple[float, float], ...]) -> Light:
    """Return ``[H, W]`` the light of street lamps on the ground, 0..1."""
    ys, xs = np.mgrid[0 : layout.height, 0 : layout.width].astype(np.float32)
    z = layout.focal * layout.mast / np.maximum(ys - layout.horizon, 0.7)
    x = (xs - layout.width / 2) * z / layout.focal
    total = np.zeros_like(z)
    for px, pz in posts:
        square = (x - px) ** 2 + (z - pz) ** 2
        total += 1.0 / (1.0 + square / 30.0) ** 1.5
    faint = np.clip((ys - layout.horizon) / (0.1 * layout.height), 0.25, 1.0)
    return np.asarray(np.clip(total * faint, 0, 1.2), np.float32)


def make_posts(layout: Layout, random: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """Return X, Z of the lamp posts along one pavement."""
    side = int(random.choice([-1, 1]))
    start, across = float(random.uniform(0, POST_GAP)), side * (layout.half_road + KERB + 0.4)
    posts = []
    for index in range(-3, 6):
        x, z = layout.place(np.float64(start + index * POST_GAP), np.float64(across))  # type: ignore[arg-type]
        if 7.0 < z < FAR:
            posts.append((float(x), float(z)))
    return tuple(posts)


def make_backdrop(layout: Layout, hour: float, rain: float) -> Backdrop:
    """Draw the street at `hour` (0..24) with `rain` 0..1."""
    random, day = np.random.default_rng([layout.seed, 3]), daylight(hour)
    dusk = max(0.0, 1.0 - abs(day - 0.45) / 0.45)
    grey: Colour = (178, 176, 172)
    clear = [s * (1 - 0.8 * rain) + g * 0.8 * rain for s, g in zip(layout.sky, grey, strict=True)]
    glow = np.array(clear) * (1 - 0.5 * dusk) + np.array((110, 160, 235)) * 0.5 * dusk
    canvas = np.empty((layout.height * FINE, layout.width * FINE, 3), np.uint8)
    horizon = max(1, int(layout.horizon * FINE))
    ramp = np.linspace(0, 1, horizon)[:, None, None]
    canvas[:horizon] = (np.array(clear) * (1 - ramp) * 0.9 + glow * ramp).astype(np.uint8)
    canvas[horizon:] = layout.verge
    painter = Painter(layout, canvas)
    canvas[:] = texture(layout, random, canvas)
    paint_houses(painter, random, 1.0 - day)
    paint_road(painter, random)
    paint_trees(painter, random)
    base = cv2.resize(texture(layout, random, canvas), (layout.width, layout.height), interpolation=cv2.INTER_AREA)
    posts = make_posts(layout, random)
    ambient = np.array((1.0, 1.0, 1.0)) * day + np.array((0.27, 0.22, 0.20)) * (1 - day)
    ambient = ambient * (1 + dusk * np.array((-0.12, 0.0, 0.14)))
    lamps = lamp_light(layout, posts)[..., None] * np.array((0.50, 0.70, 0.85)) * (1 - day)
    light = ((ambient + lamps) * (1 - 0.25 * rain)).astype(np.float32)
    picture = base.astype(np.float32) * light
    lit = (base.max(axis=2) > 215) & (base[..., 2].astype(int) - base[..., 0] > 50)
    lit[int(layout.horizon) + layout.height // 3 :] = False
    picture[lit] = base[lit] * max(0.75, day)
    haze = np.array(grey) * (0.9 * day + 0.12)
    image = np.clip(picture, 0, 255).astype(np.uint8)
    shadow = np.clip(picture * (1 - 0.42 * day * (1 - 0.7 * rain)), 0, 255).astype(np.uint8)
    return Backdrop(image, shadow, light, day, (float(haze[0]), float(haze[1]), float(haze[2])), posts)
