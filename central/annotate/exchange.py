"""Data sets into the store, and out of it, picture by picture.

import   pictures with their images become frames of the node ``import``; without, the labels of frames that have
         the same file name. Twice gives the same. Everything is checked before anything is stored.
export   labelled frames, as they are now or as they were in a snapshot
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, selectinload

from central.annotate import queue
from central.annotate.boxes import MAX_POINTS, MAX_RINGS, LabelBox, LabelError, Mask, clip, mask_of
from central.annotate.formats import Dataset, Format, FormatError, Part, Picture, Stream, lost, parts
from central.annotate.images import read_image
from central.store.blobs import Blobs, frame_key
from central.store.database import Database
from central.store.models import Camera, Frame, LabelRevision, Node, Snapshot
from protocols import topics
from protocols.messages import utc_now

NODE: Final = "import"
"""The node that imported images count as coming from."""
PAGE: Final = 500
"""Frames that are taken from the database at a time."""
Report = Callable[[int, int], None]
Image = tuple[bytes, int, int]
"""A JPEG with its width and height."""
Open = Callable[[Picture], Image]


@dataclass(frozen=True)
class Imported:
    """What an import did. `unmatched` pictures had no frame of their name, and no image to make one from."""

    frames: int = 0
    labelled: int = 0
    boxes: int = 0
    unmatched: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """What may be labelled."""

    labels: tuple[str, ...]
    tags: tuple[str, ...] = ()


def below(images: Path) -> Open:
    """Return what opens the image of a picture below the folder `images`."""
    return lambda picture: read_image(images, picture.name)


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


async def _find(session: AsyncSession, name: str, sha256: str | None) -> Frame | None:
    query = select(Frame).options(selectinload(Frame.annotations))
    if sha256 is not None:
        query = query.where(Frame.node == NODE, Frame.sha256 == sha256)
    else:
        query = query.where(Frame.name.in_({name, PurePosixPath(name).name}) | (Frame.id == PurePosixPath(name).stem))
    return (await session.scalars(query.order_by(Frame.id).limit(1))).first()


async def _add(
    session: AsyncSession, picture: Picture, sha256: str, blob: str, frame: str, size: tuple[int, int, int]
) -> None:
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


def _scaled(picture: Picture, frame: Frame) -> list[LabelBox]:
    """Return the boxes of `picture` in pixels of `frame`, which may have another size, cut to it."""
    x, y = frame.width / picture.width, frame.height / picture.height
    boxes = []
    for given in picture.boxes:
        x1, y1, x2, y2 = given.box
        cut = clip((x1 * x, y1 * y, x2 * x, y2 * y), frame.width, frame.height, float("inf"))
        if cut is not None:
            boxes.append(LabelBox(cut, given.label, given.score, _inside(given.mask, x, y, frame)))
    return boxes


def _inside(mask: Mask | None, x: float, y: float, frame: Frame) -> Mask | None:
    """Return `mask` scaled and cut to the frame, without what is no ring there; points are thinned to what fits."""
    right, bottom = float(frame.width), float(frame.height)
    rings = [[(min(max(a * x, 0.0), right), min(max(b * y, 0.0), bottom)) for a, b in ring] for ring in mask or ()]
    rings = [ring for ring in rings if len(set(ring)) >= 3][:MAX_RINGS]
    stride = -(-sum(map(len, rings)) // MAX_POINTS)
    thin = [ring[:: max(1, stride)] for ring in rings]
    return tuple(tuple(ring) for ring in thin if len(set(ring)) >= 3) or None


def _held(frame: Frame) -> list[LabelBox]:
    sure = (a for a in frame.annotations if a.confirmed)
    return [LabelBox((a.x1, a.y1, a.x2, a.y2), a.label, a.score, mask_of(a.mask)) for a in sure]


def _same(frame: Frame, answer: queue.Answer) -> bool:
    def key(boxes: Sequence[LabelBox]) -> list[Any]:
        return sorted((b.box, b.label, b.mask or ()) for b in boxes)

    return (
        frame.state == "labelled"
        and key(answer.boxes) == key(_held(frame))
        and sorted(set(answer.complete_for)) == sorted(frame.complete_for)
        and dict(answer.tags) == frame.tags
    )


async def label_at(
    session: AsyncSession, frame: str, revision: int, picture: Picture, project: Project, by: str
) -> int | None:
    """Give `frame` the labels of `picture` where it still is at `revision`; return the number of boxes, None where it
    has them already. Raises ConflictError, FrameMissingError, LabelError."""
    row = await queue.load(session, frame)
    return await _label(session, row, picture, project, by, revision)


async def _label(
    session: AsyncSession, frame: Frame, picture: Picture, project: Project, by: str, revision: int | None = None
) -> int | None:
    """Give `frame` the labels of `picture`; return the number of boxes, None where it has them already."""
    complete = [label for label in picture.complete_for if label in project.labels]
    boxes, tags = _scaled(picture, frame), {t: s for t, s in picture.tags.items() if t in project.tags}
    at = frame.revision if revision is None else revision
    answer = queue.Answer(frame.id, at, by, boxes, complete, "import", tags=tags)
    if _same(frame, answer):
        return None
    await queue.label(session, answer, project.labels, project.tags)
    return len(boxes)


def check(dataset: Dataset, project: Project) -> tuple[int, Counter[str]]:
    """Go through all of `dataset`; return how many pictures it has, and what of it has no place here.

    Raises FormatError for what cannot be read, and for a label that the project does not have.
    """
    count, strange = 0, Counter[str]()
    for picture in dataset.pictures:
        count += 1
        for box in picture.boxes:
            if box.label not in project.labels:
                raise FormatError(f"label {box.label!r} does not exist; labels: {', '.join(project.labels)}")
        strange.update(f"tag {tag!r}" for tag in picture.tags if tag not in project.tags)
    return count, dataset.left_out + strange


async def take_in(
    database: Database,
    blobs: Blobs,
    dataset: Dataset,
    images: Open | None,
    project: Project,
    by: str,
    report: Report = lambda _done, _all: None,
) -> Imported:
    """Put `dataset` into the store. Raises FormatError; what is wrong with labels is found before anything is stored.

    `images` opens the image of a picture; without it, pictures are those of frames that are there.
    """
    total, left_out = await asyncio.to_thread(check, dataset, project)
    frames = labelled = count = unmatched = 0
    for number, picture in enumerate(dataset.pictures, 1):
        frame, new = await _frame(database, blobs, picture, images)
        frames += new
        if frame is None:
            unmatched += 1
        elif picture.labelled:
            try:
                async with database.write() as session:
                    boxes = await _label(session, frame, picture, project, by)
            except LabelError as error:
                raise FormatError(f"{picture.name}: {error}") from None
            labelled, count = labelled + (boxes is not None), count + (boxes or 0)
        report(number, total)
    return Imported(frames, labelled, count, unmatched, dict(left_out))


async def _frame(database: Database, blobs: Blobs, picture: Picture, images: Open | None) -> tuple[Frame | None, bool]:
    """Return the frame of `picture`, and whether it was made now, from its image."""
    data = None if images is None else await asyncio.to_thread(images, picture)
    sha256 = None if data is None else hashlib.sha256(data[0]).hexdigest()
    async with database.read() as session:
        frame = await _find(session, picture.name, sha256)
    if frame is not None or data is None or sha256 is None:
        return frame, False
    new = _frame_id(sha256, datetime.now(UTC))
    blob = frame_key(new)
    await blobs.put([(blob, data[0])])
    async with database.write() as session:
        await _add(session, picture, sha256, blob, new, (data[1], data[2], len(data[0])))
    async with database.read() as session:
        return await queue.load(session, new), True


# --- out -------------------------------------------------------------------------------------------------------------


@dataclass
class Exported:
    """What an export did; `lost` says what the format has no place for."""

    frames: int = 0
    boxes: int = 0
    lost: str = ""


def image_name(frame: Frame) -> str:
    """Return the file name of a frame's image in an export."""
    return f"{frame.node}/{frame.camera}/{frame.id}.jpg"


def picture(frame: Frame) -> Picture:
    """Return a frame, its annotations loaded, as a picture: its labels where somebody answered, else its proposals."""
    labelled = frame.state == "labelled"
    boxes = [
        LabelBox((a.x1, a.y1, a.x2, a.y2), a.label, a.score, mask_of(a.mask))
        for a in frame.annotations
        if a.confirmed or not labelled
    ]
    return Picture(
        name=image_name(frame), width=frame.width, height=frame.height, boxes=tuple(boxes), labelled=labelled,
        complete_for=tuple(frame.complete_for), camera=frame.camera, index=frame.index, tags=dict(frame.tags),
    )  # fmt: skip


def _then(frame: Frame, row: LabelRevision) -> Picture:
    """Return a frame with the answer that it had at a revision."""
    boxes = tuple(LabelBox(tuple(b["box"]), b["label"], b.get("score"), mask_of(b.get("mask"))) for b in row.boxes)
    return Picture(
        name=image_name(frame), width=frame.width, height=frame.height, boxes=boxes, camera=frame.camera,
        complete_for=tuple(row.complete_for), index=frame.index, tags=dict(row.tags or {}),
    )  # fmt: skip


def _now(session: Session) -> Iterator[tuple[Frame, Picture]]:
    after = ""
    query = select(Frame).where(Frame.state == "labelled").options(selectinload(Frame.annotations))
    while page := list(session.scalars(query.where(Frame.id > after).order_by(Frame.id).limit(PAGE))):
        yield from ((frame, picture(frame)) for frame in page)
        after = page[-1].id
        session.expunge_all()


def _frozen(session: Session, items: Sequence[dict[str, Any]]) -> Iterator[tuple[Frame, Picture]]:
    for start in range(0, len(items), PAGE):
        wanted = {item["frame"]: item["revision"] for item in items[start : start + PAGE]}
        query = select(Frame, LabelRevision).join(LabelRevision, LabelRevision.frame == Frame.id)
        for frame, row in session.execute(query.where(Frame.id.in_(wanted)).order_by(Frame.id)):
            if row.revision == wanted[frame.id]:
                yield frame, _then(frame, row)
        session.expunge_all()


def _source(session: Session, snapshot: str | None) -> Callable[[], Iterator[tuple[Frame, Picture]]]:
    if snapshot is None:
        return lambda: _now(session)
    row = session.get(Snapshot, snapshot)
    if row is None:
        raise FormatError(f"snapshot {snapshot[:64]}: not there; 'wayside-central data snapshots' lists those that are")
    items = list(row.items)
    return lambda: _frozen(session, items)


async def take_out(
    database: Database, form: Format, path: Path, project: Project, snapshot: str | None = None
) -> tuple[Exported, list[tuple[str, str]]]:
    """Write labelled frames, or those of `snapshot` as they were then, to `path` as `form` does.

    Returns what was done, and name and blob key of every image. Raises FormatError, OSError.
    """

    def work(session: Session) -> tuple[Exported, list[tuple[str, str]]]:
        source = _source(session, snapshot)
        keys: list[tuple[str, str]] = []
        done, used, counts = Exported(), dict.fromkeys(project.labels), Counter[Part]()
        tags = dict.fromkeys(project.tags)
        for frame, one in source():
            keys.append((one.name, frame.blob))
            used |= dict.fromkeys(box.label for box in one.boxes)
            tags |= dict.fromkeys(one.tags)
            counts += parts(one)
            done.boxes += len(one.boxes)
        form.write(Dataset(tuple(used), Stream(lambda: (one for _, one in source())), tuple(tags)), path)
        done.frames, done.lost = len(keys), lost(form, counts)
        return done, keys

    return await database.run_read(work)
