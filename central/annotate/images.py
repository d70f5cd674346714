"""Image files on their way into the store and out of it: read safely, stored as JPEG."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from central.annotate.formats import FormatError
from central.annotate.sizes import size_of
from central.store.blobs import Blobs

QUALITY: Final = 95
"""Of the JPEG that an image of another kind becomes."""
MAX_IMAGE: Final = 64 * 1024 * 1024
"""Bytes of one image file."""
MAX_PIXELS: Final = 16384
"""Of one side."""
MAX_AREA: Final = 100_000_000
"""Pixels; decoded they take 300 MB."""


def _load(root: Path, name: str) -> tuple[bytes, NDArray[np.uint8]]:
    path = (root / name).resolve()
    if PurePosixPath(name).is_absolute() or not path.is_relative_to(root.resolve()):
        raise FormatError(f"image {name!r} is not below {root}; give the folder that the names are relative to")
    try:
        if path.stat().st_size > MAX_IMAGE:
            raise FormatError(f"{path}: more than {MAX_IMAGE} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; give the folder of the images with --images") from None
    size = size_of(data)
    if size is None:
        raise FormatError(f"{path}: not a sound JPEG, PNG, BMP, WebP or TIFF image")
    if max(size) > MAX_PIXELS or size[0] * size[1] > MAX_AREA:
        raise FormatError(f"{path}: {size[0]} x {size[1]} pixels, more than {MAX_PIXELS} a side or {MAX_AREA} in all")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise FormatError(f"{path}: not an image that can be decoded")
    return data, np.asarray(image, np.uint8)


def decode(root: Path, name: str) -> NDArray[np.uint8]:
    """Return the image `name` below `root` as ``[H, W, 3]`` BGR. Raises FormatError; never leaves `root`."""
    return _load(root, name)[1]


def read_image(root: Path, name: str) -> tuple[bytes, int, int]:
    """Return the image `name` below `root` as JPEG, its width and height. Raises FormatError; never leaves `root`."""
    data, image = _load(root, name)
    if data[:3] != b"\xff\xd8\xff":
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return data, image.shape[1], image.shape[0]


async def save_images(blobs: Blobs, keys: Iterable[tuple[str, str]], folder: Path) -> int:
    """Write images, given by name and blob key, below `folder`; return how many. Raises BlobError, OSError."""
    count = 0
    for name, key in keys:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        part.write_bytes(await blobs.read(key))
        part.replace(path)
        count += 1
    return count
