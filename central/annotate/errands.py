"""Lending the queue to another tool, and taking the answers back.

    most valuable frames -> folder (images, tasks or proposals) -> bridge -> the tool; which frames, at which revision,
                                                                   is kept as an errand
    the tool -> bridge -> file -> format -> answers to exactly those revisions

A frame that somebody answered here meanwhile keeps that answer: what the other tool says of it is counted, not taken.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from sqlalchemy import select

from central.annotate import exchange, queue
from central.annotate.boxes import LabelError
from central.annotate.bridges import TOOLS, BridgeError, run
from central.annotate.exchange import Project
from central.annotate.formats import Dataset, FormatError, kinds
from central.annotate.formats.cvat import label_list
from central.annotate.formats.labelstudio import config
from central.annotate.images import save_images
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import Errand, Frame
from protocols.messages import utc_now

MAX_LENT: Final = 10_000
"""Frames of one errand."""


@dataclass(frozen=True)
class Tool:
    """Where it is. `token` is never written anywhere; `python` is that of an environment with its SDK."""

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


def _name(tool: str, frame: Frame) -> str:
    """Return the image's name there. CVAT keeps no folders of what is uploaded, and finds proposals by name."""
    name = exchange.image_name(frame)
    return PurePosixPath(name).name if tool == "cvat" else name


def _write(tool: str, frames: Sequence[Frame], project: Project, folder: Path) -> None:
    pictures = tuple(replace(exchange.picture(frame), name=_name(tool, frame)) for frame in frames)
    dataset = Dataset(project.labels, pictures, project.tags)
    if tool == "cvat":
        kinds()["cvat"].write(dataset, folder / "proposals.xml")
        (folder / "labels.json").write_text(json.dumps(label_list(project.labels, project.tags)), "utf-8")
    else:
        kinds()["label-studio"].write(dataset, folder / "tasks.json")
        (folder / "config.xml").write_text(config(project.labels, project.tags), "utf-8")


def _wish(verb: str, tool: Tool, folder: Path, **more: Any) -> dict[str, Any]:
    return {"verb": verb, "url": tool.url, "token": tool.token, "folder": str(folder), **more}


async def push(
    database: Database, blobs: Blobs, tool: Tool, project: Project, limit: int, title: str
) -> tuple[int, int]:
    """Lend the `limit` most valuable frames that wait; return the number of the errand and of its frames.

    Raises BridgeError, BlobError, OSError.
    """
    if tool.name not in TOOLS:
        raise BridgeError(f"tool {tool.name!r} does not exist; tools: {', '.join(TOOLS)}")
    async with database.read() as session:
        frames = await queue.waiting(session, min(limit, MAX_LENT))
    known = [frame for frame in frames if all(a.label in project.labels for a in frame.annotations)]
    if not known:
        raise BridgeError("no frame waits for review; nothing was pushed")
    if tool.name == "cvat":
        known.sort(key=lambda frame: frame.id)  # it numbers images in the order of their names
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        folder = Path(scratch)
        _write(tool.name, known, project, folder)
        await save_images(blobs, [(_name(tool.name, frame), frame.blob) for frame in known], folder / "images")
        answer = run(tool.name, tool.python, _wish("push", tool, folder, title=title))
    row = Errand(
        tool=tool.name, url=tool.url, project=str(answer["project"]), made=utc_now(),
        frames={frame.id: frame.revision for frame in known},
    )  # fmt: skip
    async with database.write() as session:
        session.add(row)
        await session.flush()
        return row.id, len(known)


async def pull(database: Database, tool: Tool, project: Project, by: str, errand: int | None = None) -> Pulled:
    """Take the answers of an errand, the newest to that tool where it is None. Twice is once.

    Raises BridgeError, FormatError.
    """
    async with database.read() as session:
        query = select(Errand).where(Errand.tool == tool.name, Errand.url == tool.url).order_by(Errand.id.desc())
        row = (await session.scalars(query if errand is None else query.where(Errand.id == errand))).first()
    if row is None:
        raise BridgeError(f"nothing was pushed to {tool.name} at {tool.url}")
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        folder = Path(scratch)
        run(tool.name, tool.python, _wish("pull", tool, folder, project=row.project))
        file = folder / ("annotations.xml" if tool.name == "cvat" else "tasks.json")
        dataset = _looked_at(kinds()[tool.name].read(file), folder / "answered.json")
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
