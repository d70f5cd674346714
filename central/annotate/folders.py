"""Folders of images, and of DICOM files, as pictures that wait for review.

    images   JPEG, PNG and other files that OpenCV reads; the folder that a file lies in is its camera
    dicom    pixels only, windowed to 8 bits; the series is the camera, each frame of a file a picture

Of a DICOM file nothing but pixels goes in, and a hash of its identity that is salted with a secret of this centre: the
same file twice is one frame, and nobody can find the patient by it. Names of DICOM files are not kept, as hospitals put
names of people into them. The redaction of the profile is applied before anything is stored. What is burnt into the
pixels elsewhere stays: give masks for it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.annotate import dicom
from central.annotate.exchange import Image, Open
from central.annotate.formats import UNKNOWN_SIDE, Dataset, FormatError, Picture, Stream
from central.annotate.formats.reading import safe_name
from central.annotate.images import QUALITY, decode
from central.annotate.profile import Redaction

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_PIXELS: Final = 16
"""Blocks of a pixelated region along its longer side."""
Salt = Callable[[], bytes]


def redact(image: NDArray[np.uint8], how: Redaction) -> NDArray[np.uint8]:
    """Return `image` ``[H, W, 3]`` with the masks of `how` made unreadable."""
    height, width = image.shape[:2]
    image = image.copy() if how.masks else image
    for x1, y1, x2, y2 in how.masks:
        left, top = int(x1 * width), int(y1 * height)
        part = image[top : int(np.ceil(y2 * height)), left : int(np.ceil(x2 * width))]
        if not part.size:
            continue
        if how.method == "fill":
            part[:] = 0
        else:
            step = max(1, max(part.shape[:2]) // _PIXELS)
            small = cv2.resize(part, (max(1, part.shape[1] // step), max(1, part.shape[0] // step)))
            part[:] = cv2.resize(small, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_NEAREST)
    return image


def encode(image: NDArray[np.uint8], how: Redaction) -> Image:
    """Return `image` ``[H, W, 3]`` BGR, redacted, as a JPEG."""
    data = cv2.imencode(".jpg", redact(image, how), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return data, image.shape[1], image.shape[0]


def _files(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise FormatError(f"{root}: not a folder; give the folder of the images")
    for at, folders, names in os.walk(root):
        folders.sort()
        yield from (Path(at) / name for name in sorted(names) if not name.startswith("."))


def _images(root: Path) -> Iterator[Picture]:
    places: Counter[str] = Counter()
    for file in _files(root):
        if file.suffix.lower() in SUFFIXES:
            name = safe_name(file, str(PurePosixPath(file.relative_to(root))))
            camera = str(PurePosixPath(name).parent) if "/" in name else root.resolve().name
            yield Picture(name, UNKNOWN_SIDE, UNKNOWN_SIDE, labelled=False, camera=camera, index=places[camera])
            places[camera] += 1


def _open_image(root: Path, how: Redaction, picture: Picture) -> Image:
    return encode(decode(root, picture.name), how)


def _dicoms(root: Path, salt: Salt, left_out: Counter[str]) -> Iterator[Picture]:
    left_out.clear()
    key = salt()
    for file in _files(root):
        about = dicom.look(file, key)
        if about is None:
            left_out["files that are no DICOM images"] += 1
            continue
        for frame in range(about.frames):
            name = f"{about.identity}-{frame:04d}.dcm"
            place = about.place + frame
            yield Picture(name, about.width, about.height, labelled=False, camera=about.series, index=place)


class _Dicoms:
    """Opens the frames of DICOM files by the names that their pictures got."""

    def __init__(self, root: Path, salt: Salt, window: tuple[float, float] | None, how: Redaction) -> None:
        self._root, self._salt, self._window, self._how = root, salt, window, how
        self._files: dict[str, Path] | None = None
        self._last: tuple[str, Any] = ("", None)

    def _find(self, identity: str) -> Path:
        if self._files is None:
            key = self._salt()
            known = ((dicom.look(file, key), file) for file in _files(self._root))
            self._files = {about.identity: file for about, file in known if about is not None}
        return self._files[identity]

    def __call__(self, picture: Picture) -> Image:
        identity, _, frame = picture.name.removesuffix(".dcm").rpartition("-")
        if self._last[0] != identity:
            self._last = identity, dicom.pixels(self._find(identity))
        return encode(dicom.grey(self._last[1], int(frame), self._window), self._how)


def scan(
    kind: str, root: Path, window: str | None, redaction: Redaction, salt: Salt
) -> tuple[Dataset, Open]:  # fmt: skip
    """Return what lies below the folder `root`, and what opens it. `kind` is ``images`` or ``dicom``.

    `window` is ``CENTRE,WIDTH`` in place of what DICOM files say. Raises FormatError, also while it is gone through.
    """
    if not root.is_dir():
        raise FormatError(f"{root}: not a folder; give the folder of the images")
    if kind == "images":
        return Dataset((), Stream(partial(_images, root))), partial(_open_image, root, redaction)
    left_out = Counter[str]()
    opener = _Dicoms(root, salt, dicom.window(window), redaction)
    return Dataset((), Stream(partial(_dicoms, root, salt, left_out)), (), left_out), opener
