"""Real frames from a folder, for calibration and parity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge.runtime.prepare import Image

ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


class FramesError(ValueError):
    """A folder without usable images. The text says which and what to do."""


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FramesError(f"{folder}: not a folder; give one with images")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS]
    if not found:
        raise FramesError(f"{folder}: no images in it ({', '.join(sorted(ENDINGS))})")
    return found


def read_frames(folders: Sequence[Path], count: int) -> tuple[list[Image], list[str]]:
    """Return up to `count` images BGR ``[H, W, 3]`` from below `folders`, evenly spread over the sorted names.

    With them a line for each that could not be read. Raises FramesError where there is none.
    """
    names = sorted(path for folder in folders for path in _images(folder))
    frames, skipped = [], []
    for index in np.unique(np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int)):
        image = cv2.imread(str(names[index]), cv2.IMREAD_COLOR)
        if image is None or not image.size:
            skipped.append(f"{names[index]}: not a readable image")
        else:
            frames.append(np.asarray(image, np.uint8))
    if not frames:
        raise FramesError(f"{folders[0]}: none of the {len(skipped)} images can be read")
    return frames, skipped
