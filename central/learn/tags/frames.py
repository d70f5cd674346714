"""Tags at the centre: what people said of frames, as training data; and what was learned, as proposals for the queue.

    answers -> a tag: as it was said; a class: present where a box has it, absent where the frame is complete for it
    waiting frames -> scores -> `tag_proposals`, which the workbench shows until a person answers
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from central.annotate.asking.click import points
from central.annotate.propagate import read
from central.annotate.sources import Curves, curves
from central.annotate.tag_proposals import put
from central.learn.tags.data import Tagged
from central.store.blobs import BlobError, Blobs
from central.store.database import Database
from central.store.models import Frame, QuestionAnswer
from protocols import files

PAGE: Final = 200
"""Frames that are taken from the database at a time."""
MAX_WAITING: Final = 2000
"""Waiting frames that get proposals, best first, as with boxes."""
SOURCE: Final = "tag head"
"""What its proposals say they come from, until a person answers and a release proposes by itself."""
NOTHING: Final[Curves] = MappingProxyType({})
SIGNS: Final = {"present": 1, "absent": -1}


def known(frame: Frame, names: Sequence[str], clicked: Sequence[str] = ()) -> list[int]:
    """Return what people said of each of `names` on `frame`: 1, -1, or 0 for nothing; `clicked` are there."""
    boxes = {a.label for a in frame.annotations if a.confirmed} | set(clicked)
    complete, said = set(frame.complete_for), frame.tags or {}
    return [
        SIGNS.get(str(said.get(name)), 0) or (1 if name in boxes else -1 if name in complete else 0) for name in names
    ]


async def _save(blobs: Blobs, frame: Frame, folder: Path) -> Path | None:
    path = folder / f"{frame.id}.jpg"
    if not path.exists():
        try:
            data = await blobs.read(frame.blob)
        except BlobError:
            return None
        await asyncio.to_thread(files.write_atomic, path, bytes(data))
    return path


async def gather(
    database: Database, blobs: Blobs, names: tuple[str, ...], folder: Path, single: bool = False
) -> Tagged:
    """Return the labelled frames with what is known of the tags `names`, their images in `folder`.

    `single`: with those that wait and of which single questions were answered.

    Frames of which nothing is known, and those whose image is gone, are left out. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    rows: list[list[int]] = []
    groups: list[str] = []
    last = ""
    answered = Frame.id.in_(select(QuestionAnswer.frame).where(QuestionAnswer.answer != "cant_tell"))
    labelled = Frame.state == "labelled"
    said = or_(labelled, (Frame.state == "pending") & answered) if single else labelled
    while True:
        query = select(Frame).where(said, Frame.id > last).order_by(Frame.id).limit(PAGE)
        async with database.read() as session:
            page = list(await session.scalars(query.options(selectinload(Frame.annotations))))
            clicked = await points(session, [frame.id for frame in page])
        for frame in page:
            row = known(frame, names, [point.label for point in clicked.get(frame.id, ())])
            path = await _save(blobs, frame, folder) if any(row) else None
            if path is not None:
                paths.append(path)
                rows.append(row)
                groups.append(f"{frame.node}/{frame.camera}")
        if len(page) < PAGE:
            break
        last = page[-1].id
    return Tagged(names, tuple(paths), np.array(rows, np.int8).reshape(-1, len(names)), tuple(groups))


async def store(session: AsyncSession, frame: str, told: Mapping[str, float], worth: Curves = NOTHING) -> bool:
    """Put the confidence 0..1 of each tag on a waiting frame in the open write transaction, in place of what the tag
    head said before and beside what other machines say; False where the frame waits no more.

    `worth` are the curves of what its scores were worth so far.
    """
    row = await session.get(Frame, frame, populate_existing=True)
    if row is None or row.state != "pending":
        return False
    await put(session, SOURCE, {frame: {name: round(float(score), 4) for name, score in told.items()}}, worth)
    return True


async def propose(
    database: Database,
    blobs: Blobs,
    look: Callable[[NDArray[np.uint8]], Mapping[str, float]],
    allowed: Sequence[str],
    limit: int = MAX_WAITING,
    report: Callable[[int, int], None] = lambda done, every: None,
) -> int:
    """Propose tags for up to `limit` waiting frames, the most valuable first, and return on how many.

    `look` gives the confidence 0..1 of each tag for a BGR image ``[H, W, 3]``; only those `allowed` (the profile's) are
    proposed.
    """
    async with database.read() as session:
        query = select(Frame).where(Frame.state == "pending").order_by(Frame.value.desc()).limit(limit)
        frames, worth = list(await session.scalars(query)), await curves(session, SOURCE)
    done = 0
    for place, frame in enumerate(frames):
        image = await read(blobs, frame)
        if image is not None:
            seen: Mapping[str, Any] = await asyncio.to_thread(look, image)
            told = {name: float(score) for name, score in seen.items() if name in allowed}
            async with database.write() as session:
                done += await store(session, frame.id, told, worth)
        report(place + 1, len(frames))
    return done
