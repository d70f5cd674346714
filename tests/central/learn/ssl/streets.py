"""A small street to learn from without labels: two fixed cameras, squares that drive through."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from central.learn.models.config import ModelConfig
from central.learn.ssl import boxes, duplicates, sources
from central.learn.ssl.config import SslConfig
from central.learn.ssl.material import Stock

HEIGHT, WIDTH = 96, 128
FPS = 10.0
COLOURS = ((40, 40, 220), (220, 120, 30), (30, 200, 200))


def scene(seed: int) -> np.ndarray:
    """Return an empty street."""
    random = np.random.default_rng(seed)
    coarse = random.integers(60, 160, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def frame(camera: int, place: int) -> np.ndarray:
    """Return what `camera` sees at `place`: a square that drives to the right, and another one to the left."""
    image = scene(camera).copy()
    x = (place * 4 + 3) % (WIDTH - 24)
    image[30:50, x : x + 22] = COLOURS[camera]
    left = WIDTH - 24 - x
    image[64:82, left : left + 18] = COLOURS[2]
    return image


def write(folder: Path, cameras: int = 2, frames: int = 16) -> Path:
    """Write the street as a folder per camera, frames in a row."""
    for camera in range(cameras):
        own = folder / f"camera{camera}"
        own.mkdir(parents=True, exist_ok=True)
        for place in range(frames):
            cv2.imwrite(str(own / f"{place:03d}.png"), frame(camera, place))
    return folder


def stock(folder: Path, cameras: int = 2, frames: int = 16) -> Stock:
    """Return the street as material."""
    return duplicates.without(sources.folder(write(folder, cameras, frames), FPS))


def config(**given: object) -> SslConfig:
    """Return the settings of a run of the smallest network."""
    model = ModelConfig(size="tiny", labels=("thing",), height=64, width=64, embedding=16)
    heads = {"byol": {"hidden": 16, "out": 8}, "objects": {"hidden": 16, "out": 8, "size": 3}}
    plain: dict[str, object] = {"steps": 6, "batch": 4, "options": heads, "boxes": ("motion",)}
    plain |= {"look_every": 2, "save_every": 3, "probe_every": 3, "workers": 0}
    return SslConfig(model=model, **{**plain, **given})  # type: ignore[arg-type]


def boxed(material: Stock) -> boxes.Boxes:
    """Return what moves in `material`."""
    return boxes.gather(material, ("motion",))
