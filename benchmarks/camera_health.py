"""Ailments injected into real video: which are found, how soon, and what is told of healthy cameras.

    python -m benchmarks.camera_health [--source VIDEO_OR_FOLDER ...] [--at 0.5] [--json]

Every source runs once as it is, and once for each injected ailment, which begins after `--at` of its frames. An ailment
is found when the alert of its kind is raised within ten seconds. Time is that of the recording; a folder of images
counts as a video of `--fps`. The alerts that the untouched sources raise are false ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import DATA, main, parser, say
from edge.assess.health import SAMPLE_S, Health
from edge.sources import Image, SourceError, open_source

LIMIT_S = 10.0
SOURCES = ("video/carpark.mp4", "video/corridor.mp4", "sequence/images")
FPS = 25.0
"""Of the motorway sequence."""
GAP_S = SAMPLE_S / 2
MARGIN_S = 20.0
"""Seconds after the injection that are looked at."""


def defocus(image: Image, sigma: float) -> Image:
    """Return `image` out of focus; `sigma` in pixels of a picture 640 across."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma * image.shape[1] / 640), np.uint8)


def cover(image: Image, share: float, level: int) -> Image:
    """Return `image` with the upper left `share` of width and height hidden by something of grey `level`."""
    covered = image.copy()
    high, wide = round(share * image.shape[0]), round(share * image.shape[1])
    covered[:high, :wide] = level
    return covered


def noisy_cover(image: Image) -> Image:
    """Return what a lens covered by a hand shows: its blurred shades, and the sensor's noise."""
    few = cv2.resize(image, (4, 3), interpolation=cv2.INTER_AREA)
    shade = cv2.resize(few, image.shape[1::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32) * 0.3 + 40
    return np.clip(shade + np.random.default_rng(0).normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def darken(image: Image, share: float) -> Image:
    """Return `image` with `share` of its light."""
    return np.asarray(cv2.convertScaleAbs(image, alpha=share), np.uint8)


def move(image: Image, share: float, degrees: float = 0.0) -> Image:
    """Return `image` as if the camera was turned: shifted by `share` of the width, rotated by `degrees`."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += (share * width, share * height / 2)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


INJECTIONS: dict[str, tuple[str, Callable[[Image], Image] | None]] = {
    "defocus 2 px": ("defocused", lambda image: defocus(image, 2.0)),
    "defocus 5 px": ("defocused", lambda image: defocus(image, 5.0)),
    "cover grey": ("covered", lambda image: cover(image, 1.0, 90)),
    "cover 85 %": ("covered", lambda image: cover(image, 0.85, 30)),
    "cover by a hand": ("covered", noisy_cover),
    "freeze": ("frozen", None),
    "darkness 15 %": ("dark", lambda image: darken(image, 0.15)),
    "darkness 3 %": ("dark", lambda image: darken(image, 0.03)),
    "overexposure": ("overexposed", lambda image: darken(image, 6.0)),
    "shift 5 %": ("moved", lambda image: move(image, 0.05)),
    "shift 20 %": ("moved", lambda image: move(image, 0.2)),
    "turn 8 degrees": ("moved", lambda image: move(image, 0.0, 8.0)),
}


def read(source: str, fps: float) -> tuple[list[Image], list[float]]:
    """Return frames of `source`, at least GAP_S apart (more would not be looked at), and their times in seconds."""
    opened = open_source(source, "camera")
    rate = fps if Path(source).is_dir() else opened.rate or fps
    step = max(1, int(GAP_S * rate))
    with closing(opened):
        frames = [(frame.image, frame.index / rate) for frame in opened.frames() if frame.index % step == 0]
    if not frames:
        raise SourceError(f"{source}: no frame", lasting=True)
    return [image for image, _ in frames], [time for _, time in frames]


def alerts(frames: list[Image], times: list[float]) -> list[tuple[float, str]]:
    """Return (seconds, kind) of every alert raised over `frames`."""
    health, raised = Health(), []
    standing: set[str] = set()
    for image, at in zip(frames, times, strict=True):
        wrong = set(health.see(image, at))
        raised += [(at, kind) for kind in sorted(wrong - standing)]
        standing = wrong
    return raised


def inject(frames: list[Image], times: list[float], at: int, change: Callable[[Image], Image] | None) -> Any:
    """Return frames and times up to MARGIN_S after frame `at`, from which on `change` works; None stands still."""
    end = next((i for i, time in enumerate(times) if time > times[at] + MARGIN_S), len(times))
    after = [frames[at] if change is None else change(image) for image in frames[at:end]]
    return frames[:at] + after, times[:end]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    rows, false = [], []
    for source in arguments.source or [str(DATA / name) for name in SOURCES]:
        try:
            frames, times = read(source, arguments.fps)
        except SourceError as error:
            raise OSError(str(error)) from None
        false += [{"source": source, "at_s": round(at, 1), "kind": kind} for at, kind in alerts(frames, times)]
        at = int(arguments.at * len(frames))
        for name, (kind, change) in INJECTIONS.items():
            raised = [(time - times[at], found) for time, found in alerts(*inject(frames, times, at, change))]
            after = next((time for time, found in raised if found == kind and time >= 0), None)
            rows.append({
                "source": source, "injected": name, "kind": kind, "after_s": None if after is None else round(after, 1),
                "found": after is not None and after <= LIMIT_S, "others": sorted({k for t, k in raised if k != kind}),
            })  # fmt: skip
            say(f"{source}: {name}: {rows[-1]['after_s']} s {' '.join(rows[-1]['others'])}")
    kinds = {kind for kind, _ in INJECTIONS.values()}
    found = {kind: sum(r["found"] for r in rows if r["kind"] == kind) for kind in sorted(kinds)}
    return {
        "found": sum(row["found"] for row in rows), "of": len(rows), "by_kind": found,
        "slowest_s": max((row["after_s"] for row in rows if row["found"]), default=None),
        "false_alerts": len(false), "false": false, "rows": rows,
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--source", action="append", help="a video or a folder of images; again for each")
    made.add_argument("--at", type=float, default=0.5, help="share of the frames after which the ailment begins")
    made.add_argument("--fps", type=float, default=FPS, help="frames per second of a folder of images")
    main(run, made)
