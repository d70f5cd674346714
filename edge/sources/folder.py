"""Folders of images, in natural order or in that of a COCO file."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.sources import Frame, Image, Source, SourceError
from edge.sources.pacing import Pacer

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))
DEFAULT_RATE = 10.0
"""Frames per second that a folder is taken for where nobody says."""
log = logging.getLogger(__name__)


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key under which ``frame2`` comes before ``frame10``."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part.lower()) for part in parts]


def read_image(path: Path) -> Image | None:
    """Return the BGR image in `path`, or None where it cannot be read."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if image is None else image.astype(np.uint8, copy=False)


def in_order(folder: Path, coco: Path | None = None) -> list[Path]:
    """Return the images under `folder`: naturally sorted, or as `coco` lists them. Raises SourceError."""
    if coco is not None:
        try:
            return [folder / str(image["file_name"]) for image in json.loads(coco.read_bytes())["images"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(f"{coco}: not a COCO file: {error}", lasting=True) from error
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural(str(path.relative_to(folder))))


class Folder:
    """A folder of images. Implements `edge.sources.Source`. `skipped` counts the images that could not be read."""

    recorded = True

    def __init__(
        self, folder: Path, camera: str, fps: float | None, paced: bool, loop: bool, coco: Path | None = None
    ) -> None:
        """List the folder. Raises SourceError where there is no image in it."""
        self._folder, self._camera, self._loop, self.live = folder, camera, loop, paced
        self.rate: float | None = fps or DEFAULT_RATE
        self.skipped = 0
        self._stop = threading.Event()
        self._paths = in_order(folder, coco)
        if not self._paths:
            raise SourceError(f"{folder}: there are no images in this folder", lasting=True)

    def frames(self) -> Iterator[Frame]:
        """Yield the images; `name` is the path within the folder. Raises SourceError where not one can be read."""
        opened, pacer, count = datetime.now(UTC), Pacer(self._stop), 0
        period = 1.0 / (self.rate or DEFAULT_RATE)
        while not self._stop.is_set():
            for index, path, image in self._read():
                if self.live and not pacer.wait(count * period):
                    return
                at = None if self.live else opened + timedelta(seconds=count * period)
                name = str(path.relative_to(self._folder))
                yield Frame.now(image, self._camera, index, name, at)
                count += 1
            if not count and not self._stop.is_set():
                raise SourceError(f"{self._folder}: none of its {len(self._paths)} images can be read", lasting=True)
            if not self._loop:
                return

    def _read(self) -> Iterator[tuple[int, Path, Image]]:
        self.skipped = 0
        for index, path in enumerate(self._paths):
            if self._stop.is_set():
                return
            image = read_image(path)
            if image is None:
                self.skipped += 1
                log.warning("%s: skipped, not a readable image", path)
            else:
                yield index, path, image
        if self.skipped:
            log.warning("%s: %d of %d images skipped", self._folder, self.skipped, len(self._paths))

    def close(self) -> None:
        """End the iteration."""
        self._stop.set()


class FolderKind:
    """The member of `edge.sources` for folders of images."""

    name = "folder"

    def matches(self, source: str) -> bool:
        """True for an existing folder, and for a path that ends in a slash; one named by a number needs ``./``."""
        try:
            return "://" not in source and not source.isdigit() and (source.endswith("/") or Path(source).is_dir())
        except (OSError, ValueError):
            return False

    def open(self, source: str, camera: str, **options: Any) -> Source:
        """Open the folder. Options: ``fps`` (pace), ``paced``, ``loop``, ``coco`` (its order). Raises SourceError."""
        folder = Path(source)
        if not folder.is_dir():
            raise SourceError(f"{source}: no such folder", lasting=True)
        coco = options.get("coco")
        paced, loop = bool(options.get("paced")), bool(options.get("loop"))
        return Folder(folder, camera, options.get("fps"), paced, loop, Path(coco) if coco else None)


SOURCE = FolderKind()
