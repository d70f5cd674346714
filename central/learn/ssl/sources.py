"""Where frames come from: folders of pictures, COCO files, videos, rectified pairs, what a centre has stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from sqlalchemy import select

from central import settings
from central.commands.common import store
from central.learn.data import Pixels
from central.learn.data.dataset import MAX_PIXELS, read_image
from central.learn.detect import coco as truths
from central.learn.ssl.material import MaterialError, Reader, Shot, Stock
from central.store import blobs as blob_store
from central.store.blobs import BlobError, Blobs
from central.store.models import Frame

SUFFIXES: Final = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp"))
VIDEO_SIDE: Final = 960
"""Pixels of the longer side of what is kept of a video: more than any view needs."""
QUALITY: Final = 95
PAGE: Final = 500
"""Rows that are taken from a centre's database at a time."""


class Files:
    """Pictures below a folder; a key is a path in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: str) -> Pixels | None:
        """Return the picture, BGR."""
        return read_image(str(self.folder / key))

    def small(self, key: str) -> Pixels | None:
        """Return it in grey, at an eighth of its size (JPEG: without decoding the rest)."""
        return _small(lambda flag: cv2.imread(str(self.folder / key), flag))


class Stored:
    """Frames of a centre; a key is that of their blob."""

    def __init__(self, url: str | None, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._blobs: Blobs | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"url": self.url, "folder": self.folder, "_blobs": None}

    def _bytes(self, key: str) -> Pixels | None:
        try:
            if self._blobs is None:
                self._blobs = blob_store.connect(self.url, self.folder)
            return np.frombuffer(asyncio.run(self._blobs.read(key)), np.uint8)
        except (BlobError, OSError):
            return None

    def read(self, key: str) -> Pixels | None:
        """Return the frame, BGR."""
        data = self._bytes(key)
        return None if data is None else _decoded(data, cv2.IMREAD_COLOR)

    def small(self, key: str) -> Pixels | None:
        """Return it in grey, at an eighth of its size."""
        data = self._bytes(key)
        return None if data is None else _small(lambda flag: _decoded(data, flag))


def _decoded(data: Pixels, flag: int) -> Pixels | None:
    try:
        image = cv2.imdecode(data, flag)
    except cv2.error:
        return None
    if image is None or image.shape[0] * image.shape[1] > MAX_PIXELS:
        return None
    return np.asarray(image, np.uint8)


def _small(read: Callable[[int], object]) -> Pixels | None:
    """Return the picture in grey, reduced as far as leaves enough of it."""
    for flag in (cv2.IMREAD_REDUCED_GRAYSCALE_8, cv2.IMREAD_GRAYSCALE):
        try:
            image = read(flag)
        except cv2.error:
            return None
        if image is None:
            return None
        pixels = np.asarray(image, np.uint8)
        if min(pixels.shape) >= 32:
            break
    return pixels


def folder(path: Path, fps: float | None = None) -> Stock:
    """Return the pictures below the folder `path`, a camera per sub-folder that has any.

    With `fps` the files of each camera are frames in a row, in the order of their names. Raises MaterialError.
    """
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise MaterialError(f"{path}: no pictures in it; give a folder of .jpg or .png files")
    cameras: dict[str, int] = {}
    counts: dict[int, int] = {}
    shots = []
    for file in files:
        own = file.parent.relative_to(path).as_posix()
        camera = cameras.setdefault(path.name if own == "." else own, len(cameras))
        place = counts[camera] = counts.get(camera, -1) + 1
        time = place / fps if fps else float("nan")
        shots.append(Shot(0, file.relative_to(path).as_posix(), camera, time))
    return Stock((Files(path),), shots, tuple(cameras))


def coco(path: Path, images: Path) -> Stock:
    """Return the pictures that the COCO file at `path` lists, by its cameras; boxes are ignored.

    Raises MaterialError, DatasetError.
    """
    listed = truths.read(path).images
    cameras: dict[str, int] = {}
    shots = [
        Shot(0, i.file_name, cameras.setdefault(i.place or images.name, len(cameras)), float("nan")) for i in listed
    ]
    if not any((images / i.file_name).is_file() for i in listed):
        raise MaterialError(f"{images}: none of the {len(listed)} pictures of {path} is there; name their folder")
    return Stock((Files(images),), shots, tuple(cameras))


def pairs(left: Path, right: Path, focal: float, baseline: float, fps: float | None = None) -> Stock:
    """Return rectified pairs: pictures of the same name below `left` and `right`.

    `focal`: pixels over the picture's width; `baseline`: metres. Raises MaterialError.
    """
    found = folder(left, fps)
    shots = [s._replace(right=str((right / s.key).resolve())) for s in found.shots if (right / s.key).is_file()]
    if not shots:
        raise MaterialError(f"{right}: no picture in it has the name of one in {left}")
    return Stock((Files(left),), shots, found.cameras, rigs={0: (focal, baseline)})


def _frames(path: Path) -> Iterator[tuple[float, Pixels]]:
    """Yield time (seconds) and picture of the frames of the video at `path`. Raises MaterialError."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MaterialError(f"{path}: there is no video in this file")
            stream = container.streams.video[0]
            for number, frame in enumerate(container.decode(stream)):
                time = frame.time if frame.time is not None else number / float(stream.average_rate or 25)
                yield float(time), np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (av.FFmpegError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise MaterialError(f"{path}: not a readable video ({why})") from None


def _shrunk(image: Pixels) -> Pixels:
    scale = VIDEO_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def video(path: Path, cache: Path) -> Stock:
    """Return the frames of the video at `path`, one camera; they are decoded once, into a folder below `cache`.

    Raises MaterialError.
    """
    own, done = cache / path.stem, cache / path.stem / "times.txt"
    if not done.is_file():
        own.mkdir(parents=True, exist_ok=True)
        times: list[str] = []
        for time, image in _frames(path):
            cv2.imwrite(str(own / f"{len(times):07d}.jpg"), _shrunk(image), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            times.append(f"{time:.6f}\n")
        if not times:
            raise MaterialError(f"{path}: no frame of it can be decoded")
        done.write_text("".join(times), "utf-8")
    stamps = done.read_text("utf-8").split()
    shots = [Shot(0, f"{number:07d}.jpg", 0, float(time)) for number, time in enumerate(stamps)]
    return Stock((Files(own),), shots, (path.stem,))


async def _listed(data: Path) -> tuple[Reader, list[tuple[str, str, float]]]:
    settled = settings.load(data=data)
    rows: list[tuple[str, str, float]] = []
    last = ""
    async with store(settled) as database:
        while True:
            wanted = (Frame.id, Frame.node, Frame.camera, Frame.blob, Frame.captured_at)
            query = select(*wanted).where(Frame.id > last).order_by(Frame.id).limit(PAGE)
            async with database.read() as session:
                page = (await session.execute(query)).all()
            rows += [(f"{node}/{camera}", blob, at.timestamp()) for _, node, camera, blob, at in page]
            if len(page) < PAGE:
                break
            last = page[-1][0]
    return Stored(settled.blob_url, settled.data / "blobs"), rows


def centre(data: Path) -> Stock:
    """Return every frame that the centre whose folder is `data` has stored, by camera and time.

    Raises MaterialError, CommandError, DatabaseError, SettingsError.
    """
    reader, rows = asyncio.run(_listed(data))
    if not rows:
        raise MaterialError(f"{data}: this centre has stored no frame yet")
    cameras: dict[str, int] = {}
    first: dict[int, float] = {}
    shots = []
    for name, blob, at in rows:
        camera = cameras.setdefault(name, len(cameras))
        shots.append(Shot(0, blob, camera, at - first.setdefault(camera, at)))
    return Stock((reader,), shots, tuple(cameras))
