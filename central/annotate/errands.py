"""Lending the queue to another tool, and taking the answers back.

    most valuable frames -> folder (images, tasks or proposals) -> bridge -> the tool; which frames, at which revision,
                                                                   is kept as an errand
    the tool -> bridge -> file -> format -> answers to exactly those revisions

A frame that somebody answered here meanwhile keeps that answer: what the other tool says of it is counted, not taken.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from sqlalchemy import select

from central.annotate import exchange, queue, tools
from central.annotate.boxes import LabelError
from central.annotate.bridges import BridgeError, run
from central.annotate.exchange import Project
from central.annotate.formats import Dataset, FormatError, kinds
from central.annotate.images import save_images
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import Errand
from protocols.messages import utc_now

MAX_LENT: Final = 10_000
"""Frames of one errand."""


@dataclass(frozen=True)
class Place:
    """Where a tool of that name is. `token` is never written anywhere; `python` is an environment with its SDK."""

    name: str
    url: str
    token: str
    python: Path


@dataclass(frozen=True)
class Pulled:
    """What came back: frames labelled, of them boxes, conflicts (answered here meanwhile) and others (never lent)."""

    labelled: int = 0
    boxes: int = 0
    conflicts: int = 0
    strange: int = 0


def _ask(tool: tools.Tool, place: Place, verb: str, folder: Path, **more: Any) -> dict[str, Any]:
    wish = {"verb": verb, "url": place.url, "token": place.token, "folder": str(folder), **more}
    return run(tool.name, tool.program, place.python, wish)


async def push(
    database: Database, blobs: Blobs, place: Place, project: Project, limit: int, title: str
) -> tuple[int, int]:
    """Lend the `limit` most valuable frames that wait; return the number of the errand and of its frames.

    Raises BridgeError, BlobError, OSError.
    """
    tool = tools.find(place.name)
    async with database.read() as session:
        frames = await queue.waiting(session, min(limit, MAX_LENT))
    known = [frame for frame in frames if all(a.label in project.labels for a in frame.annotations)]
    if not known:
        raise BridgeError("no frame waits for review; nothing was pushed")
    names = {frame.id: exchange.image_name(frame) for frame in known}
    if tool.flat:
        names = {frame: PurePosixPath(name).name for frame, name in names.items()}
        known.sort(key=lambda frame: frame.id)
    pictures = tuple(replace(exchange.picture(frame), name=names[frame.id]) for frame in known)
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        folder = Path(scratch)
        tool.write(Dataset(project.labels, pictures, project.tags), folder)
        await save_images(blobs, [(names[frame.id], frame.blob) for frame in known], folder / "images")
        answer = _ask(tool, place, "push", folder, title=title)
    row = Errand(
        tool=tool.name, url=place.url, project=str(answer["project"]), made=utc_now(),
        frames={frame.id: frame.revision for frame in known},
    )  # fmt: skip
    async with database.write() as session:
        session.add(row)
        await session.flush()
        return row.id, len(known)


async def pull(database: Database, place: Place, project: Project, by: str, errand: int | None = None) -> Pulled:
    """Take the answers of an errand, the newest to that tool where it is None. Twice is once.

    Raises BridgeError, FormatError.
    """
    tool = tools.find(place.name)
    async with database.read() as session:
        query = select(Errand).where(Errand.tool == tool.name, Errand.url == place.url).order_by(Errand.id.desc())
        row = (await session.scalars(query if errand is None else query.where(Errand.id == errand))).first()
    if row is None:
        raise BridgeError(f"nothing was pushed to {tool.name} at {place.url}")
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        folder = Path(scratch)
        _ask(tool, place, "pull", folder, project=row.project)
        dataset = _looked_at(kinds()[tool.name].read(folder / tool.answers), folder / "answered.json")
        exchange.check(dataset, project)
        done = await _answer(database, dataset, dict(row.frames), project, f"{by}"[:64])
    async with database.write() as session:
        kept = await session.get(Errand, row.id)
        if kept is not None:
            kept.pulled = utc_now()
    return done


def _looked_at(dataset: Dataset, told: Path) -> Dataset:
    """Return `dataset`, labelled only where the file `told` names the image: all of it where there is no such file."""
    if not told.exists():
        return dataset
    names = frozenset(json.loads(told.read_text("utf-8")))
    return replace(dataset, pictures=[replace(p, labelled=p.labelled and p.name in names) for p in dataset.pictures])


async def _answer(database: Database, dataset: Dataset, lent: dict[str, int], project: Project, by: str) -> Pulled:
    labelled = boxes = conflicts = strange = 0
    for picture in dataset.pictures:
        frame = PurePosixPath(picture.name).stem
        if frame not in lent:
            strange += 1
            continue
        if not picture.labelled:
            continue
        try:
            async with database.write() as session:
                taken = await exchange.label_at(session, frame, lent[frame], picture, project, by)
        except (queue.ConflictError, queue.FrameMissingError):
            conflicts += 1
        except LabelError as error:
            raise FormatError(f"{picture.name}: {error}") from None
        else:
            labelled, boxes = labelled + (taken is not None), boxes + (taken or 0)
    return Pulled(labelled, boxes, conflicts, strange)
