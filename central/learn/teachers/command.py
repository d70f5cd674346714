"""``wayside-central annotate``: a teacher's proposals, for a folder of images or for the frames that wait for review.

images -> COCO file, and queue -> store, are two ways of one command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

from central import settings
from central.annotate import profile, proposals
from central.annotate.profile import ProfileError
from central.commands.common import CommandError, store
from central.learn.data.dataset import read_image
from central.learn.detect.evaluate_command import progress_bar
from central.learn.models.detr import DetrError
from central.learn.teachers import Opened, TeacherError, find
from central.settings import Settings, SettingsError
from central.store import blobs as blob_store
from central.store.blobs import BlobError
from central.store.database import DatabaseError
from edge.runtime import Detections, RuntimeFault
from protocols.files import write_atomic
from protocols.slots import SlotError

SUFFIXES: Final = frozenset((".jpg", ".jpeg", ".png"))
LABELS: Final = "person,two_wheeler,car,bus,truck"
MAX_NAMED: Final = 20


def parse_names(pairs: list[str]) -> dict[str, str]:
    """Read ``theirs=ours`` pairs. Raises TeacherError."""
    found = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not (theirs.strip() and equals and ours.strip()):
            raise TeacherError(f"{pair!r}: give THEIRS=OURS, for example motorcycle=two_wheeler")
        found[theirs.strip()] = ours.strip()
    return found


def rows(found: Detections, image: int, first: int) -> Iterator[dict[str, Any]]:
    """Yield the COCO annotations of one image, with scores; ids from `first` on."""
    for number, (box, score, label) in enumerate(zip(found.boxes, found.scores, found.classes, strict=True), first):
        x1, y1, x2, y2 = (round(float(v), 2) for v in box)
        if x2 > x1 and y2 > y1:
            yield {
                "id": number, "image_id": image, "category_id": int(label) + 1, "iscrowd": 0,
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)], "area": round((x2 - x1) * (y2 - y1), 2),
                "score": round(float(score), 4),
            }  # fmt: skip


def propose(
    teacher: Opened, folder: Path, labels: tuple[str, ...], console: Console
) -> tuple[dict[str, Any], list[str]]:
    """Return the COCO file of what `teacher` sees in the images below `folder`, and the images that cannot be read.

    No image is complete for any class: these are proposals. Raises TeacherError where there is no image.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise TeacherError(f"{folder}: no images in it; give a folder of .jpg or .png files")
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    skipped = []
    with progress_bar("proposing", console) as progress:
        for done, path in enumerate(paths, 1):
            image = read_image(str(path))
            if image is None:
                skipped.append(str(path))
                continue
            name = path.relative_to(folder).as_posix()
            images.append(
                {"id": done, "file_name": name, "width": image.shape[1], "height": image.shape[0], "complete_for": []}
            )
            boxes += rows(teacher.propose(image), done, len(boxes) + 1)
            progress(done, len(paths))
    categories = [{"id": i, "name": label} for i, label in enumerate(labels, 1)]
    return {"images": images, "annotations": boxes, "categories": categories}, skipped


async def _propose_waiting(
    settled: Settings, by: proposals.Proposer, limit: int, again: bool, console: Console
) -> dict[str, Any]:
    async with store(settled) as database:
        blobs = blob_store.connect(settled.blob_url, settled.data / "blobs")
        with progress_bar("proposing", console) as progress:

            def report(step: Mapping[str, Any]) -> None:
                progress(round(step["progress"] * 100), 100)

            return await proposals.propose(database, blobs, by, by.labels, report, limit, again)


def _annotate_folder(opened: Opened, images: Path, out: Path, ours: tuple[str, ...], errors: Console) -> dict[str, Any]:
    if not images.is_dir():
        raise TeacherError(f"{images}: not a folder")
    file, skipped = propose(opened, images, ours, errors)
    write_atomic(out, msgspec.json.format(msgspec.json.encode(file), indent=1))
    for path in skipped[:MAX_NAMED]:
        errors.print(f"left out: {path} is not a readable image", markup=False)
    found = {"out": str(out), "images": len(file["images"]), "proposals": len(file["annotations"])}
    return found | {"skipped": len(skipped)}


def _annotate_queue(
    opened: Opened, settled: Settings, name: str, ours: tuple[str, ...], limit: int, again: bool, errors: Console
) -> dict[str, Any]:
    covers = frozenset(ours[index] for index in opened.sees)
    by = proposals.Proposer(name, name, ours, opened.propose, covers)
    done = asyncio.run(_propose_waiting(settled, by, limit, again, errors))
    return {"source": name, "frames": done["changed"], "proposals": done["boxes"]} | {
        "skipped": done["frames"] - done["changed"]
    }


def _check_use(queue: bool, images: Path | None, out: Path | None, labels: str | None) -> None:
    """Raise TeacherError unless exactly one of the two ways is asked for."""
    if queue and (images or out or labels):
        raise TeacherError(
            "--queue takes the frames of the store and the labels of the profile; leave --images, --out "
            "and --labels away"
        )
    if not queue and not (images and out):
        raise TeacherError("give --images and --out for a folder of images, or --queue for the frames that wait")


def annotate_command(
    teacher: Annotated[str, typer.Option(help="transformers, zero-shot or pack.")],
    model: Annotated[str, typer.Option(help="A folder or a hub name; for pack a folder, a file, or 'base'.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images.")] = None,
    out: Annotated[Path | None, typer.Option(help="COCO file to write: proposals with their scores.")] = None,
    labels: Annotated[
        str | None, typer.Option(help=f"Labels for the file, in order, separated by commas; default {LABELS}.")
    ] = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="Propose for the frames that wait for review, instead of a folder.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="With --queue: folder of everything that the centre keeps.")] = None,
    profile_name: Annotated[
        str | None, typer.Option("--profile", help="With --queue: what the project labels.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="With --queue: frames at most, the most valuable first.")] = 2000,
    again: Annotated[bool, typer.Option("--again", help="With --queue: also where it has proposed already.")] = False,
    names: Annotated[list[str] | None, typer.Option("--map", help="THEIRS=OURS; may be given several times.")] = None,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Score from which it proposes.")] = 0.3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Let a teacher propose labels, for a folder of images or for the frames that wait for review.

    Example: wayside-central annotate --teacher pack --model base --images frames --out proposals.json

    Example: wayside-central annotate --teacher transformers --model models/dfine-s --map motorcycle=two_wheeler --queue
    """
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        _check_use(queue, images, out, labels)
        pairs = parse_names(names or [])
        if images and out:
            ours = tuple(name.strip() for name in (labels or LABELS).split(","))
            answer = _annotate_folder(find(teacher).open(model, ours, pairs, threshold), images, out, ours, errors)
        else:
            settled = settings.load(data=data, profile=profile_name)
            ours = profile.load(settled.profile).label_names
            opened = find(teacher).open(model, ours, pairs, threshold)
            name = proposals.teacher_name(teacher, model)
            answer = _annotate_queue(opened, settled, name, ours, limit, again, errors)
    except (
        TeacherError, DetrError, SlotError, RuntimeFault, SettingsError, ProfileError, DatabaseError, BlobError,
        CommandError, OSError,
    ) as error:  # fmt: skip
        errors.print(f"wayside-central: {' '.join(str(error).split())}", markup=False)
        raise typer.Exit(2) from None
    typer.echo(msgspec.json.encode(answer).decode() if as_json else f"done: {answer}")
