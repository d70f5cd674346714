"""``wayside-central annotate``: a folder of images to a COCO file of proposals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

from central.learn.data.dataset import read_image
from central.learn.detect.evaluate_command import progress_bar
from central.learn.models.detr import DetrError
from central.learn.teachers import Opened, TeacherError, find
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


def annotate_command(
    teacher: Annotated[str, typer.Option(help="transformers, zero-shot or pack.")],
    model: Annotated[str, typer.Option(help="A folder or a hub name; for pack a folder, a file, or 'base'.")],
    images: Annotated[Path, typer.Option(help="Folder of the images.")],
    out: Annotated[Path, typer.Option(help="COCO file to write: proposals with their scores.")],
    labels: Annotated[str, typer.Option(help="The project's labels, in order, separated by commas.")] = LABELS,
    names: Annotated[list[str] | None, typer.Option("--map", help="THEIRS=OURS; may be given several times.")] = None,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Score from which it proposes.")] = 0.3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Let a teacher propose labels for a folder of images.

    Example: wayside-central annotate --teacher pack --model base --images frames --out proposals.json
    """
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    ours = tuple(name.strip() for name in labels.split(","))
    try:
        opened = find(teacher).open(model, ours, parse_names(names or []), threshold)
        if not images.is_dir():
            raise TeacherError(f"{images}: not a folder")
        file, skipped = propose(opened, images, ours, errors)
        write_atomic(out, msgspec.json.format(msgspec.json.encode(file), indent=1))
    except (TeacherError, DetrError, SlotError, RuntimeFault, OSError) as error:
        errors.print(f"wayside-central: {' '.join(str(error).split())}", markup=False)
        raise typer.Exit(2) from None
    for path in skipped[:MAX_NAMED]:
        errors.print(f"left out: {path} is not a readable image", markup=False)
    answer = {
        "out": str(out), "images": len(file["images"]), "proposals": len(file["annotations"]), "skipped": len(skipped),
    }  # fmt: skip
    typer.echo(msgspec.json.encode(answer).decode() if as_json else f"done: {answer}")
