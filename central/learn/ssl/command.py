"""``wayside-central train ssl``: from frames without labels to a trunk that tells things apart."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import distributed

from central.commands.common import CommandError
from central.learn.detect.coco import DatasetError
from central.learn.detect.command import DEFAULT_LABELS, size_of
from central.learn.distributed import Group, join
from central.learn.models.config import ModelConfig
from central.learn.ssl import (
    IMAGE_AND_OBJECT,
    PretextError,
    boxes,
    duplicates,
    members,
    packing,
    probe,
    settle,
    sources,
)
from central.learn.ssl.config import SslConfig
from central.learn.ssl.learner import Learner
from central.learn.ssl.material import MaterialError, Stock, joined
from central.learn.ssl.train import Result, Run, SslError
from central.learn.start import weights_from
from central.learn.steps import StepBar
from central.settings import SettingsError
from central.store.blobs import BlobError
from central.store.database import DatabaseError
from edge.runtime import RuntimeFault
from export import checkpoint
from export.graph import ExportError
from protocols.pack import PackError

FPS: Final = 25.0
"""Frames per second of a sequence that does not say."""
MISTAKES: Final = (
    checkpoint.CheckpointError, CommandError, DatasetError, ExportError, MaterialError, PretextError, SslError,
    SettingsError, DatabaseError, BlobError, PackError, RuntimeFault, ValueError, OSError,
)  # fmt: skip


def weighed(names: list[str]) -> dict[str, float]:
    """Read ``NAME[:WEIGHT]`` of each pretext; none: image and object together. Raises SslError."""
    found = {}
    for text in names:
        name, _, weight = text.partition(":")
        if name not in members():
            raise SslError(f"--pretext {name}: no such pretext; there are {', '.join(members())}")
        try:
            found[name] = float(weight or 1)
        except ValueError:
            found[name] = 0.0
        if not found[name] > 0:
            raise SslError(f"--pretext {text}: give NAME or NAME:WEIGHT, the weight above 0")
    return found or dict(IMAGE_AND_OBJECT)


def chosen(texts: list[str], teacher: str | None, pretexts: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Read ``PRETEXT.OPTION=VALUE`` of each of `texts`; `teacher` is the model of ``distil``. Raises SslError."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, _, value = text.partition("=")
        name, _, option = place.partition(".")
        if name not in pretexts or not option or not value:
            raise SslError(f"--option {text}: give PRETEXT.OPTION=VALUE, of one of {', '.join(pretexts)}")
        try:
            found.setdefault(name, {})[option] = json.loads(value)
        except ValueError:
            found.setdefault(name, {})[option] = value
    if teacher:
        pretexts.setdefault("distil", 1.0)
        found.setdefault("distil", {})["model"] = teacher
    return found


def gathered(
    images: list[Path], sequence: list[str], coco: list[str], video: list[Path], data: Path | None, pairs: list[str],
    cache: Path,
) -> Stock:  # fmt: skip
    """Return the frames of everything that was named. Raises MaterialError, DatasetError, CommandError."""
    parts = [sources.folder(folder) for folder in images]
    for text in sequence:
        place, _, rate = text.rpartition(":") if text.rpartition(":")[2].replace(".", "").isdigit() else (text, "", "")
        parts.append(sources.folder(Path(place), float(rate or FPS)))
    for text in coco:
        path, _, folder = text.partition(":")
        parts.append(sources.coco(Path(path), Path(folder) if folder else Path(path).parent))
    parts += [sources.video(path, cache / "videos") for path in video]
    for text in pairs:
        fields = text.split(":")
        try:
            focal, baseline = (float(v) for v in fields[2:])
        except ValueError:
            raise MaterialError(f"--pairs {text}: give LEFT:RIGHT:FOCAL:BASELINE (widths, metres)") from None
        parts.append(sources.pairs(Path(fields[0]), Path(fields[1]), focal, baseline))
    if data is not None:
        parts.append(sources.centre(data))
    return joined(parts)


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error while the block runs, where that is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        task = shown.add_task("", total=total)
        yield lambda done: shown.update(task, completed=done)


def prepared(stock: Stock, config: SslConfig, out: Path) -> tuple[Stock, boxes.Boxes | None]:
    """Return `stock` without near-identical frames, and its boxes where a pretext wants them."""
    with bar("looking for near-identical frames", len(stock.shots)) as done:
        stock = duplicates.without(stock, done)
    unread = f", {len(stock.unread)} not readable" if stock.unread else ""
    counts = f"{len(stock.kept)} of {len(stock.shots)} frames of {len(stock.cameras)} cameras"
    print(f"{counts}; {stock.dropped} near-identical{unread}", file=sys.stderr)
    if not config.boxes:
        return stock, None
    wish = boxes.Wish(pack=config.detector)
    with bar(f"boxes from {', '.join(config.boxes)}", len(stock.shots)) as done:
        found = boxes.cached(stock, config.boxes, out, wish, done)
    print(f"{len(found.corners)} boxes", file=sys.stderr)
    return stock, found


@contextmanager
def first_alone(group: Group) -> Iterator[None]:
    """Let the first process go through the block before all others: what it keeps in the run folder, they read."""
    if not group.first:
        distributed.barrier()
    yield
    if group.first and group.size > 1:
        distributed.barrier()


def train_ssl(
    out: Annotated[Path, typer.Option(help="Run folder; a run that was interrupted there goes on.")],
    images: Annotated[
        list[Path] | None, typer.Option(help="Folder of frames, a camera per sub-folder; repeatable.")
    ] = None,
    sequence: Annotated[
        list[str] | None, typer.Option(help="DIR[:FPS]: a folder whose files are frames in a row; repeatable.")
    ] = None,
    coco: Annotated[
        list[str] | None, typer.Option(help="COCO.json[:IMAGES]: its images and cameras, no boxes; repeatable.")
    ] = None,
    video: Annotated[list[Path] | None, typer.Option(help="Video file; repeatable.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of a centre: every frame that it has stored.")] = None,
    pairs: Annotated[
        list[str] | None, typer.Option(help="LEFT:RIGHT:FOCAL:BASELINE: rectified pairs; picture widths, metres.")
    ] = None,
    pretext: Annotated[
        list[str] | None, typer.Option(help="NAME[:WEIGHT]; repeatable. Default: byol and objects.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="PRETEXT.NAME=VALUE; repeatable.")] = None,
    box_sources: Annotated[
        str, typer.Option("--boxes", help="motion, detector, proposals, or several: the first that finds any.")
    ] = ",".join(boxes.DEFAULT),
    detector: Annotated[str, typer.Option(help="Pack that --boxes detector asks.")] = "base",
    close: Annotated[
        float, typer.Option(help="0 to 1: share of the views that show one object, with --boxes; the others: scenes.")
    ] = 0.0,
    teacher: Annotated[
        str | None, typer.Option(help="Vision backbone of Transformers (folder or hub name) to distil from, too.")
    ] = None,
    size: Annotated[str, typer.Option(help="tiny, nano, small or medium")] = "nano",
    input_size: Annotated[str, typer.Option("--input", help="HEIGHTxWIDTH of views, multiples of 32")] = "224x224",
    labels: Annotated[str, typer.Option(help="Classes of the detector to come, separated by commas")] = DEFAULT_LABELS,
    embedding: Annotated[int, typer.Option(help="Dimension of the embedding")] = 64,
    steps: int = 6000,
    batch: int = 24,
    rate: float = 1e-3,
    seed: int = 0,
    workers: int = 1,
    start: Annotated[
        str | None, typer.Option(help="Start from this: safetensors, a run folder, a pack file or folder, or base")
    ] = None,
    probing: Annotated[
        str | None, typer.Option("--probe", help="COCO.json:IMAGES or a folder with train/CLASS and val/CLASS: kNN.")
    ] = None,
    pack: Annotated[Path | None, typer.Option(help="Write trunk and embedding to this pack.")] = None,
    into: Annotated[
        str | None, typer.Option(help="A pack that detects: with --pack, it gets the embedding, all else stays.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Learn from frames without labels: image and object together, or any pretexts by weight.

    Example: wayside-central train ssl --images frames --video junction.mp4 --out runs/ssl

    Example: wayside-central train ssl --data /var/lib/wayside --start base --out runs/ssl --pack ssl.wpack --into base
    """
    try:
        height, width = size_of(input_size)
        names = tuple(n.strip() for n in labels.split(","))
        weights = weighed(pretext or [])
        options = chosen(option or [], teacher, weights)
        model = ModelConfig(size=size, labels=names, height=height, width=width, embedding=embedding)
        config = SslConfig(
            model=model, pretexts=weights, options=options, steps=steps, batch=batch, rate=rate, seed=seed,
            workers=workers, detector=detector, close=close,
        )  # fmt: skip
        config = msgspec.convert(msgspec.to_builtins(config), SslConfig)  # bounds
        needs = Learner(config).needs()
        if needs.boxes or needs.scene:
            wanted = tuple(b.strip() for b in box_sources.split(","))
            _ = [boxes.find(name) for name in wanted]
            config = msgspec.structs.replace(config, boxes=wanted)
        crops = probe.parse(probing) if probing else None
        begin = weights_from(start, names) if start else None
        with join() as group:
            with first_alone(group):
                given = gathered(images or [], sequence or [], coco or [], video or [], data, pairs or [], out)
                stock, found = prepared(given, config, out)
            run = Run(config, stock, found, out, begin, crops, group=group)
            result = run.run(_Told("learning") if group.first else lambda _: None)
            if group.first and pack is not None:
                result.numbers["pack"] = packed(run, result, pack, into)
    except MISTAKES as error:
        print(f"wayside-central: {' '.join(str(error).split())}", file=sys.stderr)
        raise typer.Exit(2) from None
    if group.first:
        _end(result, out, as_json)


def packed(run: Run, result: Result, out: Path, into: str | None) -> str:
    """Write the pack that was asked for and return its address."""
    pixels, _ = run.sample(settle.FRAMES)
    if into is None:
        return packing.alone(result.trunk, out, run.folder.name, pixels).address
    theirs = packing.input_of(into)
    fitted = run.sample(settle.FRAMES, (theirs.height, theirs.width))[0]
    return packing.within(result.trunk, into, out, pixels, fitted).address


def _end(result: Result, out: Path, as_json: bool) -> None:
    numbers = {"out": str(out), **result.numbers}
    spent = result.numbers["time"]
    total = max(sum(spent.values()), 1e-9)
    where = ", ".join(f"{part} {seconds / total:.0%}" for part, seconds in spent.items())
    print(f"{numbers['images_per_s']} images/s: {where}", file=sys.stderr)
    print(f"next: wayside-central train detect --start {out} --train COCO.json:IMAGES --out RUN", file=sys.stderr)
    print(json.dumps(numbers) if as_json else f"done: {numbers}")


class _Told(StepBar):
    """What a run reports, on a bar."""

    knn = ""

    def __call__(self, row: dict[str, Any]) -> None:
        if "warning" in row:
            self.warn(row["warning"])
            return
        if "knn" in row:
            self.knn = f" kNN {row['knn']:.3f}"
        note = f"loss {row['loss']:.3f}{self.knn} {row['images_per_s']:.0f} images/s {row['eta_s']:.0f} s left"
        self.show(row["step"], row["steps"], note, always="knn" in row)
