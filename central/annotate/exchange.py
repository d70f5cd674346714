"""Data sets into the store, and out of it.

import   pictures with their images become frames of the node ``import``; without, the labels of frames that have
         the same file name. Twice gives the same.
export   every labelled frame, with its labels and what it is complete for
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

import cv2
import numpy as np
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from central.annotate import queue
from central.annotate.boxes import LabelBox, LabelError, clip
from central.annotate.formats import Dataset, FormatError, Picture
from central.store.blobs import Blobs, frame_key
from central.store.database import Database
from central.store.models import Camera, Frame, Node
from protocols import topics
from protocols.messages import utc_now

NODE: Final = "import"
"""The node that imported images count as coming from."""
QUALITY: Final = 95
"""Of the JPEG that an image of another kind becomes."""
MAX_IMAGE: Final = 64 * 1024 * 1024
"""Bytes of one image file."""
MAX_PIXELS: Final = 16384
"""Of one side."""
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Imported:
    """What an import did. `unmatched` pictures had no frame of their name, and no image to make one from."""

    frames: int = 0
    labelled: int = 0
    boxes: int = 0
    unmatched: int = 0


def _name(text: str) -> str:
    """Return `text` as the name of a camera."""
    plain = "".join(c if c.isalnum() or c in "_.-" else "-" for c in text)[:64]
    try:
        return topics.check_identity(plain)
    except topics.TopicError:
        return NODE


def _frame_id(sha256: str, at: datetime) -> str:
    """Return a UUIDv7 of `at` whose other bits are those of the image: the same image twice in a millisecond is one."""
    value = (int(at.timestamp() * 1000) & ((1 << 48) - 1)) << 80 | int(sha256[:20], 16) & ((1 << 80) - 1)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def read_image(root: Path, name: str) -> tuple[bytes, int, int]:
    """Return the image `name` below `root` as JPEG, its width and height. Raises FormatError; never leaves `root`."""
    path = (root / name).resolve()
    if PurePosixPath(name).is_absolute() or not path.is_relative_to(root.resolve()):
        raise FormatError(f"image {name!r} is not below {root}; give the folder that the names are relative to")
    try:
        if path.stat().st_size > MAX_IMAGE:
            raise FormatError(f"{path}: more than {MAX_IMAGE} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; give the folder of the images with --images") from None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None or max(image.shape[:2]) > MAX_PIXELS:
        raise FormatError(f"{path}: not an image of at most {MAX_PIXELS} pixels a side")
    if data[:3] != b"\xff\xd8\xff":
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return data, image.shape[1], image.shape[0]


async def _find(session: AsyncSession, name: str, sha256: str | None) -> Frame | None:
    query = select(Frame).options(selectinload(Frame.annotations))
    if sha256 is not None:
        query = query.where(Frame.node == NODE, Frame.sha256 == sha256)
    else:
        query = query.where(Frame.name.in_({name, PurePosixPath(name).name}))
    return (await session.scalars(query.order_by(Frame.id).limit(1))).first()


async def _add(
    session: AsyncSession, picture: Picture, sha256: str, blob: str, frame: str, size: tuple[int, int, int]
) -> Frame:
    camera = _name(picture.camera or PurePosixPath(picture.name).parent.name or NODE)
    if await session.get(Node, NODE) is None:
        session.add(Node(name=NODE, state="stopped", version="imported"))
        await session.flush()
    if await session.get(Camera, (NODE, camera)) is None:
        session.add(Camera(node=NODE, name=camera, width=size[0], height=size[1]))
        await session.flush()
    row = Frame(
        id=frame, node=NODE, camera=camera, name=picture.name, index=picture.index or 0, boot=sha256,
        sequence=0, captured_at=utc_now(), width=size[0], height=size[1], size_bytes=size[2], sha256=sha256, blob=blob,
        selection={"keep": True, "probability": 1.0, "reason": "imported", "policy": "import"},
    )  # fmt: skip
    session.add(row)
    await session.flush()
    return row


def _boxes(picture: Picture, frame: Frame) -> list[LabelBox]:
    x, y = frame.width / picture.width, frame.height / picture.height
    boxes = []
    for given in picture.boxes:
        x1, y1, x2, y2 = given.box
        cut = clip((x1 * x, y1 * y, x2 * x, y2 * y), frame.width, frame.height, float("inf"))
        if cut is not None:
            boxes.append(LabelBox(cut, given.label, given.score))
    return boxes


def _same(frame: Frame, boxes: Collection[LabelBox], complete_for: Collection[str]) -> bool:
    held = sorted(((a.x1, a.y1, a.x2, a.y2), a.label) for a in frame.annotations if a.confirmed)
    return (
        frame.state == "labelled"
        and sorted((b.box, b.label) for b in boxes) == held
        and sorted(set(complete_for)) == sorted(frame.complete_for)
    )


async def _label(session: AsyncSession, frame: Frame, picture: Picture, known: Collection[str], by: str) -> int | None:
    """Give `frame` the labels of `picture`; return the number of boxes, None where it has them already."""
    boxes = _boxes(picture, frame)
    complete = [label for label in picture.complete_for if label in known]
    if _same(frame, boxes, complete):
        return None
    await queue.label(session, queue.Answer(frame.id, frame.revision, by, boxes, complete, "import"), known)
    return len(boxes)


async def take_in(
    database: Database,
    blobs: Blobs,
    dataset: Dataset,
    images: Path | None,
    known: Collection[str],
    by: str,
    report: Report = lambda _done, _all: None,
) -> Imported:
    """Put `dataset` into the store. Raises FormatError, naming a label that the project does not have."""
    strange = sorted({b.label for p in dataset.pictures for b in p.boxes} - set(known))
    if strange:
        raise FormatError(f"label {strange[0]!r} does not exist; labels: {', '.join(known)}")
    frames = labelled = count = unmatched = 0
    for number, picture in enumerate(dataset.pictures, 1):
        data = None if images is None else await asyncio.to_thread(read_image, images, picture.name)
        sha256 = None if data is None else hashlib.sha256(data[0]).hexdigest()
        async with database.read() as session:
            frame = await _find(session, picture.name, sha256)
        now = datetime.now(UTC)
        blob = ""
        if frame is None and data is not None and sha256 is not None:
            new = _frame_id(sha256, now)
            blob = frame_key(new)
            await blobs.put([(blob, data[0])])
            async with database.write() as session:
                await _add(session, picture, sha256, blob, new, (data[1], data[2], len(data[0])))
            async with database.read() as session:
                frame = await queue.load(session, new)
            frames += 1
        if frame is None:
            unmatched += 1
        elif picture.labelled:
            try:
                async with database.write() as session:
                    boxes = await _label(session, frame, picture, known, by)
            except LabelError as error:
                raise FormatError(f"{picture.name}: {error}") from None
            labelled, count = labelled + (boxes is not None), count + (boxes or 0)
        report(number, len(dataset.pictures))
    return Imported(frames, labelled, count, unmatched)


async def take_out(database: Database, known: Collection[str]) -> tuple[Dataset, dict[str, str]]:
    """Return every labelled frame as a data set, and the blob key of each picture by its name."""
    query = select(Frame).where(Frame.state == "labelled").order_by(Frame.id).options(selectinload(Frame.annotations))
    pictures, keys = [], {}
    async with database.read() as session:
        for frame in await session.scalars(query):
            name = f"{frame.node}/{frame.camera}/{frame.id}.jpg"
            boxes = [LabelBox((a.x1, a.y1, a.x2, a.y2), a.label, a.score) for a in frame.annotations if a.confirmed]
            pictures.append(
                Picture(
                    name=name,
                    width=frame.width,
                    height=frame.height,
                    boxes=tuple(boxes),
                    complete_for=tuple(frame.complete_for),
                    camera=frame.camera,
                    index=frame.index,
                )
            )
            keys[name] = frame.blob
    used = {b.label for p in pictures for b in p.boxes}
    labels = (*known, *sorted(used - set(known)))
    return Dataset(labels, tuple(pictures)), keys


async def save_images(blobs: Blobs, keys: dict[str, str], folder: Path) -> None:
    """Write the images of an export below `folder`. Raises BlobError, OSError."""
    for name, key in keys.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        part.write_bytes(await blobs.read(key))
        part.replace(path)
