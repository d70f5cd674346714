"""The pictures of a report, as SVG that the page's style colours (so that they follow light, dark and paper), and crops
of frames as JPEG.

Classes used: ``axis``, ``grid``, ``tick``, ``before``, ``after``, ``line0``..``line5``, ``bar``, ``zero``, ``soft``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import cv2
import numpy as np

WIDTH: Final = 360
HEIGHT: Final = 230
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 34
"""Margins of a plot, pixels."""
CROP: Final = 176
"""Longer side of a crop, pixels."""
AROUND: Final = 0.7
"""Of the box's longer side, on each side of it: enough to see where it is."""
LEAST_CROP: Final = 48
"""Pixels of the frame that a crop shows at least."""
QUALITY: Final = 82
COLOUR: Final = (60, 60, 235)
"""Of the box in a crop, BGR."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A named line; `style` is a class."""

    name: str
    points: Points
    style: str
    dots: bool = False


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`; `log`: to the base of ten."""

    title: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    """Only whole numbers are written."""

    def at(self, value: float) -> float:
        """Return where `value` lies, 0..1."""
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        value = math.log10(max(value, self.low)) if self.log else value
        return min(1.0, max(0.0, (value - low) / ((high - low) or 1.0)))

    def ticks(self) -> list[float]:
        """Return where a number is written."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            found = [10.0**e for e in range(first, last + 1)]
            return found if len(found) > 1 else [self.low, self.high]
        raw = (self.high - self.low) / 4
        unit = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
        step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw * 0.999) if raw > 0 else 1.0
        step = max(1.0, math.ceil(step)) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, int(self.high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """Return `value` short."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def plot(title: str, x: Axis, y: Axis, lines: Sequence[Line], diagonal: bool = False) -> str:
    """Return a line plot with a legend."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return round(LEFT + wide * x.at(point[0]), 1), round(TOP + high * (1 - y.at(point[1])), 1)

    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
    ]
    for value in y.ticks():
        _, at = place((x.low, value))
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 5}" y="{at + 3.5}" text-anchor="end">{number(value)}</text>')
    for value in x.ticks():
        at, _ = place((value, y.low))
        parts.append(
            f'<text class="tick" x="{at}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{number(value)}</text>'
        )
    parts.append(
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
        f'<text class="tick" x="{LEFT + wide / 2}" y="{HEIGHT - 3}" text-anchor="middle">{escape(x.title)}</text>'
        f'<text class="tick" transform="translate(10 {TOP + high / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y.title)}</text>"
    )
    if diagonal:
        (x1, y1), (x2, y2) = place((x.low, y.low)), place((x.high, y.high))
        parts.append(f'<line class="grid dashed" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>')
    parts += [_line([place(p) for p in line.points], line) for line in lines]
    return "".join([*parts, "</svg>"])


def _line(points: Sequence[tuple[float, float]], line: Line) -> str:
    if not points:
        return ""
    path = " ".join(f"{a},{b}" for a, b in points)
    drawn = f'<polyline class="{line.style}" points="{path}"/>'
    if line.dots or len(points) == 1:
        drawn += "".join(f'<circle class="dot {line.style}" cx="{a}" cy="{b}" r="3"/>' for a, b in points)
    return drawn


def legend(lines: Sequence[Line]) -> str:
    """Return the names of `lines` with their colours."""
    keys = "".join(
        f'<span class="key"><svg viewBox="0 0 18 8" aria-hidden="true"><line class="{line.style}" x1="0" x2="18" '
        f'y1="4" y2="4"/></svg>{escape(line.name)}</span>'
        for line in lines
    )
    return f'<p class="legend">{keys}</p>'


def span(before: float | None, after: float | None, low: float | None, high: float | None) -> str:
    """Return a small picture of AP50 before and after, 0..1, with the interval of what is after."""
    wide, mid = 150, 8

    def at(value: float) -> float:
        return round(3 + (wide - 6) * min(1.0, max(0.0, value)), 1)

    parts = [f'<svg class="span" viewBox="0 0 {wide} 16" aria-hidden="true">']
    parts.append(f'<line class="grid" x1="3" x2="{wide - 3}" y1="{mid}" y2="{mid}"/>')
    if low is not None and high is not None:
        parts.append(f'<line class="interval" x1="{at(low)}" x2="{at(high)}" y1="{mid}" y2="{mid}"/>')
    if before is not None and after is not None:
        style = "gain" if after >= before else "loss"
        parts.append(f'<line class="{style}" x1="{at(before)}" x2="{at(after)}" y1="{mid}" y2="{mid}"/>')
    if before is not None:
        parts.append(f'<circle class="dot before" cx="{at(before)}" cy="{mid}" r="4"/>')
    if after is not None:
        parts.append(f'<circle class="dot after" cx="{at(after)}" cy="{mid}" r="4"/>')
    return "".join([*parts, "</svg>"])


def bar(share: float) -> str:
    """Return a bar, `share` 0..1 of its length."""
    return (
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="soft" width="100" height="8"/><rect class="bar" width="{100 * share:.1f}" height="8"/></svg>'
    )


def crop(path: Path, box: tuple[float, float, float, float]) -> bytes | None:
    """Return a JPEG of what lies around `box` (xywh, pixels) in the image at `path`, the box drawn; None where the
    image cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        return None
    height, width = image.shape[:2]
    x, y, w, h = box
    side = max(w, h) * (1 + 2 * AROUND)
    side = min(max(side, LEAST_CROP), max(height, width))
    left = int(np.clip(x + w / 2 - side / 2, 0, max(0, width - side)))
    top = int(np.clip(y + h / 2 - side / 2, 0, max(0, height - side)))
    part = image[top : top + int(side), left : left + int(side)]
    if not part.size:
        return None
    scale = CROP / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    shown = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    corner = (round((x - left) * scale), round((y - top) * scale))
    end = (round((x + w - left) * scale), round((y + h - top) * scale))
    cv2.rectangle(shown, corner, end, COLOUR, 2)
    done, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes() if done else None
