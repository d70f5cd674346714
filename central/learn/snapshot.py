"""What a round learns from, frozen: which frames, with which answer, for training or held back.

    database -> Frozen (content-addressed, immutable) -> images on disk -> examples to train on, truth to be judged by
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import selectinload

from central.annotate.datasets import address_of, entry, held_back
from central.annotate.second import DISPUTED
from central.learn.data import Example
from central.learn.detect.coco import Coco, CocoBox, CocoCategory, CocoImage
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import Frame, Snapshot

PERSON: Final = "person"
PRESENT: Final = "present"
ABSENT: Final = "absent"


@dataclass(frozen=True)
class Labelled:
    """A frame with its labels, as they were when the snapshot was taken."""

    frame: str
    revision: int
    held_back: bool
    node: str
    camera: str
    blob: str
    width: int
    height: int
    complete_for: tuple[str, ...]
    by_machine: bool
    """No person answered: nothing is judged by it, and what the machine half saw is neither object nor background."""
    boxes: tuple[tuple[float, float, float, float], ...]
    labels: tuple[str, ...]
    weights: tuple[float, ...]
    picture: str = ""
    """SHA-256 of the image as it came."""
    disputed: bool = False
    """Two people answered differently, and nobody decided yet."""
    tags: tuple[tuple[str, bool], ...] = ()
    """What people said of the scene: each tag that is known, and whether it is present."""


@dataclass(frozen=True)
class Frozen:
    """A snapshot. `address` is the SHA-256 of its items."""

    address: str
    items: tuple[Labelled, ...]

    @property
    def training(self) -> list[Labelled]:
        """The frames to learn from."""
        return [item for item in self.items if not item.held_back]

    @property
    def judging(self) -> list[Labelled]:
        """The held-back frames that a person answered."""
        return [item for item in self.items if item.held_back and not item.by_machine]


def _labelled(frame: Frame) -> Labelled:
    sure = [a for a in frame.annotations if a.confirmed]
    by_machine = bool(sure) and all(a.source != PERSON for a in sure)
    boxes = [(a.x1, a.y1, a.x2, a.y2) for a in sure]
    labels = [a.label for a in sure]
    weights = [1.0 if a.source == PERSON or a.score is None else a.score for a in sure]
    if by_machine:
        lowest = min(weights)
        doubted = [d for d in frame.detections if d["score"] < lowest]
        boxes += [tuple(d["box"]) for d in doubted]
        labels += [d["label"] for d in doubted]
        weights += [0.0] * len(doubted)
    return Labelled(
        frame=frame.id, revision=frame.revision, held_back=held_back(frame.camera, frame.index),
        node=frame.node, camera=frame.camera, blob=frame.blob, width=frame.width, height=frame.height,
        complete_for=tuple(frame.complete_for), by_machine=by_machine,
        boxes=tuple(boxes), labels=tuple(labels), weights=tuple(weights),
        picture=frame.sha256, disputed=frame.opinion == DISPUTED, tags=_tags(frame),
    )  # fmt: skip


def _tags(frame: Frame) -> tuple[tuple[str, bool], ...]:
    said = sorted((frame.tags or {}).items())
    return tuple((str(name), word == PRESENT) for name, word in said if word in (PRESENT, ABSENT))


async def labelled(database: Database) -> tuple[Labelled, ...]:
    """Return every labelled frame, in order of id; also those that wait, of which single questions were answered."""
    partly = and_(Frame.state == "pending", Frame.revision > 0)
    query = select(Frame).where(or_(Frame.state == "labelled", partly)).order_by(Frame.id)
    async with database.read() as session:
        frames = await session.scalars(query.options(selectinload(Frame.annotations)))
        found = [(frame.state, _labelled(frame)) for frame in frames]
    return tuple(item for state, item in found if state == "labelled" or item.labels or item.complete_for or item.tags)


async def freeze(database: Database, items: tuple[Labelled, ...]) -> Frozen:
    """Take a snapshot of `items`, in order of id, and store it. The same labels give the same snapshot."""
    listed = [entry(i.frame, i.revision, i.held_back) for i in items]
    address = address_of(listed)
    async with database.write() as session:
        if await session.get(Snapshot, address) is None:
            count = sum(len(i.labels) for i in items)
            session.add(Snapshot(address=address, frames=len(items), labels=count, items=listed))
    return Frozen(address, items)


async def frames_of(database: Database, address: str | None) -> set[str]:
    """Return the ids of the frames in the snapshot at `address`; none where there is no such snapshot."""
    if address is None:
        return set()
    async with database.read() as session:
        row = await session.get(Snapshot, address)
    return set() if row is None else {item["frame"] for item in row.items}


def image_path(folder: Path, item: Labelled) -> Path:
    """Return where the image of `item` lies once it was fetched."""
    return folder / f"{item.frame}.jpg"


async def fetch_images(blobs: Blobs, items: Sequence[Labelled], folder: Path) -> None:
    """Put the images of `items` into `folder`; those that are there stay. Raises BlobError."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in items:
        path = image_path(folder, item)
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(await blobs.read(item.blob))
            part.rename(path)


def examples(
    items: Sequence[Labelled], folder: Path, labels: tuple[str, ...], tags: tuple[str, ...] = ()
) -> list[Example]:
    """Return `items` for training, with classes as indices into `labels`; other classes are left out.

    `tags`: those of the network. What is known of others is left out.
    """
    index = {label: i for i, label in enumerate(labels)}
    found = []
    for item in items:
        own = [i for i, label in enumerate(item.labels) if label in index]
        complete = labels if item.by_machine else item.complete_for
        found.append(
            Example(
                path=image_path(folder, item),
                boxes=np.array([item.boxes[i] for i in own], np.float32).reshape(-1, 4),
                classes=np.array([index[item.labels[i]] for i in own], np.int64),
                weights=np.array([item.weights[i] for i in own], np.float32),
                complete=np.array([label in complete for label in labels]),
                camera=f"{item.node}/{item.camera}",
                tags=scene(item, labels, tags),
            )
        )
    return found


def scene(item: Labelled, labels: tuple[str, ...], tags: tuple[str, ...]) -> NDArray[np.int8]:
    """Return what people said of `tags` in `item` ``[T]``: 1 present, -1 absent, 0 unknown, or one of the `labels`."""
    said = {name: 1 if there else -1 for name, there in item.tags if name not in labels}
    return np.array([said.get(name, 0) for name in tags], np.int8)


def truth(items: Sequence[Labelled], labels: tuple[str, ...]) -> Coco:
    """Return `items` as ground truth whose file names are those of `image_path`."""
    index = {label: i + 1 for i, label in enumerate(labels)}
    images: list[CocoImage] = []
    boxes: list[CocoBox] = []
    for number, item in enumerate(items, start=1):
        images.append(
            CocoImage(
                id=number, file_name=f"{item.frame}.jpg", width=item.width, height=item.height,
                camera=f"{item.node}/{item.camera}", complete_for=list(item.complete_for),
            )
        )  # fmt: skip
        for (x1, y1, x2, y2), label in zip(item.boxes, item.labels, strict=True):
            if label in index:
                place = (x1, y1, x2 - x1, y2 - y1)
                boxes.append(CocoBox(image_id=number, category_id=index[label], bbox=place, id=len(boxes) + 1))
    return Coco(images, [CocoCategory(i, label) for label, i in index.items()], boxes)


def describe(item: Labelled) -> dict[str, Any]:
    """Return `item` in words for a report."""
    return {"frame": item.frame, "camera": f"{item.node}/{item.camera}", "labels": len(item.labels)}
