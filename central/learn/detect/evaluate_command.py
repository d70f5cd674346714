"""``wayside-central evaluate``: the evaluation as a command, ready to be registered with a typer app."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from central.learn.detect import coco as truths
from central.learn.detect.coco import DatasetError
from central.learn.detect.evaluate import THRESHOLD, Report, evaluate
from edge.runtime import RuntimeFault, packs
from edge.runtime.model import Model
from protocols.pack import PackError


@contextmanager
def progress_bar(title: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on `console` while the block runs; yields a function of done and total."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def run(
    pack: str, images: Path, coco: Path, threshold: float, backend: str, precision: str, threads: int, console: Console
) -> Report:
    """Return the report of the pack called `pack`. Raises PackError, RuntimeFault or DatasetError."""
    truth = truths.read(coco)
    if not images.is_dir():
        raise DatasetError(f"{images}: not a folder; give the one that the file names of {coco.name} start from")
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        opened = packs.find(pack, Path(scratch))
        with Model(opened, backend, precision, threads) as model, progress_bar("evaluating", console) as progress:
            outcome = evaluate(model, images, truth, threshold, progress=progress)
        return msgspec.structs.replace(outcome, pack=opened.address, name=opened.manifest.name)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    return _share(value) + (f"  ({_share(interval[0])} to {_share(interval[1])})" if interval else "")


def tables(outcome: Report) -> list[Table]:
    """Return the report as tables for people: overall, by class, by camera. Figures in percent."""
    whole = Table("figure", "percent", title=f"{outcome.name or 'pack'} on {outcome.images} images")
    for name in ("ap", "ap50"):
        whole.add_row(name, _with_interval(getattr(outcome, name), outcome.intervals.get(name)))
    for name in ("ap75", "ar", "ap_small", "ap_medium", "ap_large"):
        whole.add_row(name, _share(getattr(outcome, name)))
    classes = Table("class", "ap", "ap50", "boxes")
    for label, one in outcome.classes.items():
        classes.add_row(label, _share(one.ap), _share(one.ap50), str(one.boxes))
    cameras = Table("camera", "ap", "ap50", "images", "boxes")
    for place, camera in outcome.cameras.items():
        cameras.add_row(place, _share(camera.ap), _share(camera.ap50), str(camera.images), str(camera.boxes))
    return [whole, classes, cameras]


def _remarks(outcome: Report) -> list[str]:
    remarks = [f"left out: {entry}" for entry in outcome.skipped]
    if outcome.skipped_images > len(outcome.skipped):
        remarks.append(f"and {outcome.skipped_images - len(outcome.skipped)} more images left out")
    if outcome.missing_classes:
        remarks.append(f"the pack does not know {', '.join(outcome.missing_classes)}: AP 0 there")
    return remarks


def evaluate_command(
    pack: Annotated[str, typer.Option("--pack", help="A pack: folder, .wpack file, or 'base'.")],
    images: Annotated[Path, typer.Option("--images", help="Folder that the file names of the truth start from.")],
    coco: Annotated[Path, typer.Option("--coco", help="Ground truth, a COCO file.")],
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Score from which detections count.")] = THRESHOLD,
    backend: Annotated[str, typer.Option(help="auto, cpu, cuda or tensorrt.")] = "auto",
    precision: Annotated[str, typer.Option(help="Variant of the pack: fp32, fp16, int8 ...")] = "fp32",
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of one pass.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Measure a pack on labelled images: COCO AP, by size, class and camera, with 95 % intervals.

    Example: wayside-central evaluate --pack base --images street/images --coco street/val.json
    """
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        outcome = run(pack, images, coco, threshold, backend, precision, threads, errors)
    except (PackError, RuntimeFault, DatasetError) as error:
        errors.print(f"wayside-central evaluate: {error}", markup=False)
        raise typer.Exit(2) from None
    for remark in _remarks(outcome):
        errors.print(remark, markup=False)
    if as_json:
        typer.echo(msgspec.json.encode(outcome).decode())
        return
    console = Console()
    for table in tables(outcome):
        console.print(table)
