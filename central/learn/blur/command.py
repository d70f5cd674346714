"""``wayside-central train blur``: the blur of a training run or of a pack, from images without labels."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, cast

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from central import settings
from central.annotate import crops
from central.commands.common import CommandError, store
from central.learn.blur import calibrate, fit, packing, ranked, semi, tiles
from central.learn.blur.network import TileNetwork
from central.learn.blur.pairs import Comparison, read
from central.learn.detect import coco as truths
from central.learn.detect.coco import DatasetError
from central.learn.models import Network
from central.learn.start import StartError, network_from
from central.settings import SettingsError
from central.store import blobs as blob_store
from central.store.blobs import BlobError
from edge.runtime import RuntimeFault, packs
from edge.runtime.model import Model
from edge.runtime.session import CPU, Session
from edge.runtime.sharpness import tiles as looking
from edge.runtime.sharpness.learned import TileModel, has_tiles
from export import checkpoint, foreign
from export.graph import ExportError
from export.run import AVERAGE, LAST, SUFFIXES, load_run
from protocols.blur import BLUR, TILES
from protocols.pack import CARD, SUFFIX, Pack, PackError
from protocols.slots import SlotError

PAIRS: Final = "pairs"
"""Folder of a run with the pairs that it learned from."""
PLACES: Final = 6000
"""Places of the images that the tile model learns from, each in four versions: 100 MB."""
REGIONS: Final = 800
"""Unlabelled ones, where people compared pairs."""
STEPS: Final = 800
"""Of the dense head of a run."""
TEACHING: Final = 12
"""Tiles of one scale that teach the dense head."""
MISTAKES: Final = (
    checkpoint.CheckpointError, ExportError, CommandError, BlobError, SettingsError, PackError, RuntimeFault,
    DatasetError, SlotError, StartError, ValueError, OSError,
)  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """What is learned from, and how long."""

    images: list[Path]
    data: Path | None
    steps: int | None
    tile_steps: int
    loss: str
    seed: int
    rate: float = semi.Recipe.rate
    fresh: bool = False
    card: Path | None = None


def image_paths(folders: list[Path]) -> list[Path]:
    """Return every image in `folders`; a text file lists images, one path a line. Raises ValueError for none."""
    found: list[Path] = []
    for folder in folders:
        if folder.is_file():
            found += [Path(line) for line in folder.read_text("utf-8").splitlines() if line.strip()]
        else:
            found += [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES]
    if not found:
        raise ValueError(f"{folders[0]}: no images in it; give a folder of .jpg or .png files, or a list of them")
    return found


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error while the block runs; yields a function of how much is done."""
    columns = TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=total)
        yield lambda done: shown.update(task, completed=done)


async def _answered(data: Path, folder: Path) -> list[Comparison]:
    """Return the pairs that were answered at the centre whose folder is `data`, with their crops in `folder`."""
    settled = settings.load(data=data)
    async with store(settled) as database:
        blobs = blob_store.connect(settled.blob_url, settled.data / "blobs")
        await crops.save(database, blobs, folder)
    return read(folder)


def teach_tiles(wish: Wish, pairs: list[Comparison], start: TileNetwork | None = None) -> dict[str, bytes]:
    """Return the files of a tile model that learned from what is wished, on from `start`. Raises ValueError, SlotError,
    ExportError."""
    paths = image_paths(wish.images)
    with bar("making tiles", PLACES) as done:
        made = ranked.draw(paths, PLACES, wish.seed, done)
    people = tiles.from_people(pairs)
    regions = tiles.regions_of(paths, REGIONS, wish.seed) if len(people.order) else np.zeros((0, 1, 1), np.uint8)
    recipe = semi.Recipe(loss=wish.loss, steps=wish.tile_steps, rate=wish.rate)
    with bar("training tiles", wish.tile_steps) as step:
        network = tiles.train(made, people, regions, recipe, wish.seed, lambda at, _: step(at), start)
    return packing.contents(network)


@contextmanager
def teacher_of(graph: Path | None) -> Iterator[fit.Teacher]:
    """Open the tile model at `graph`, that of the base pack without one. Raises RuntimeFault, PackError."""
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        found = graph or packs.find(packs.BASE, Path(scratch)).path(TILES)
        with closing(Session(found, CPU, 1)) as session:
            yield lambda image: looking.look(image, session, TEACHING).blur


def teach_head(network: Network, wish: Wish, graph: Path | None, steps: int, pairs: list[Comparison]) -> float:
    """Teach the dense head of `network`, in place, by the tile model at `graph`; return the loss. Raises ValueError,
    RuntimeFault, PackError."""
    paths = image_paths(wish.images)
    with teacher_of(graph) as teacher, bar("looking at frames", fit.KEPT) as seen, bar("training blur", steps) as done:
        return fit.fit(network, paths, teacher, steps, wish.seed, lambda step, _: done(step), pairs, seen)


def teach_run(run: Path, wish: Wish) -> dict[str, Any]:
    """Replace the blur head of the run in `run`, and its tile model; return what came of it."""
    paths, steps = image_paths(wish.images), STEPS if wish.steps is None else wish.steps
    pairs = [] if wish.data is None else asyncio.run(_answered(wish.data, run / PAIRS))
    network = cast(Network, load_run(run)[0])
    if wish.tile_steps:
        for name, data in teach_tiles(wish, pairs).items():
            (run / name).write_bytes(data)
        (run / BLUR).unlink(missing_ok=True)  # of the scores of before
    graph = run / TILES if (run / TILES).is_file() else None
    loss = teach_head(network, wish, graph, steps, pairs) if steps else 0.0
    tensors, about = checkpoint.read(run / LAST)
    for name, tensor in network.state_dict().items():
        if name.startswith(packing.HEAD):
            tensors |= {AVERAGE + name: tensor, f"network.{name}": tensor}
    checkpoint.write(run / LAST, tensors, about)
    return {"run": str(run), "steps": steps, "images": len(paths), "pairs": len(pairs), "loss": loss}


def learned(pack: Pack, wish: Wish, pairs: list[Comparison], scratch: Path) -> dict[str, bytes]:
    """Return the files that `pack` gets by what is wished: a tile model, and a graph with another dense head."""
    more: dict[str, bytes] = {}
    if wish.tile_steps:
        start = packing.network_of(pack) if has_tiles(pack) and not wish.fresh else None
        more = teach_tiles(wish, pairs, start)
    if wish.steps:
        network = network_from(pack, tuple(pack.manifest.labels))
        graph = pack.path(TILES) if has_tiles(pack) else None
        if TILES in more:
            graph = scratch / TILES
            graph.write_bytes(more[TILES])
        teach_head(network, wish, graph, wish.steps, pairs)
        more |= packing.with_head(pack, network)
    return more


def teach_pack(name: str, wish: Wish, judge: Path | None, judge_images: Path | None, out: Path) -> dict[str, Any]:
    """Write the pack called `name` with a tile model, a dense head and their calibration to `out`, as is wished; of its
    graph, all but that head stays as it is."""
    with tempfile.TemporaryDirectory(prefix="wayside-") as folder:
        scratch = Path(folder)
        pack = packs.find(name, scratch)
        pairs = [] if wish.data is None else asyncio.run(_answered(wish.data, scratch / PAIRS))
        more = learned(pack, wish, pairs, scratch)
        if wish.card is not None:
            more[CARD] = wish.card.read_bytes()
        made = packing.add(pack, more, scratch / "made")
        rows: list[Any] = []
        if judge is not None:
            seer = TileModel(made) if has_tiles(made) else None
            truth, levels = truths.read(judge), len(list(calibrate.levels()))
            with Model(made, "cpu") as model, bar("calibrating", levels) as done:
                table, rows = calibrate.measure(model, seer, judge_images or judge.parent, truth, done)
            made = packing.with_table(made, table, scratch / "calibrated")
        foreign.save(made, out)
        return {
            "pack": made.address, "path": str(out), "images": len(image_paths(wish.images)) if wish.images else 0,
            "pairs": len(pairs), "steps": wish.tile_steps, "head_steps": wish.steps or 0, "calibrated": rows,
        }  # fmt: skip


def train_blur(
    target: Annotated[str, typer.Argument(metavar="RUN|PACK", help="Folder of a training run, or a pack.")],
    images: Annotated[
        list[Path] | None, typer.Option("--images", help="Folder (or list) of images, no labels needed; repeatable")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of a centre: learn from its answered blur pairs, too")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder or file of the new pack, where PACK is one")] = None,
    judge: Annotated[
        Path | None, typer.Option("--judge", help="COCO file of labelled frames: what a score costs in AP50")
    ] = None,
    judge_images: Annotated[Path | None, typer.Option("--judge-images", help="Folder of those frames")] = None,
    steps: Annotated[
        int | None, typer.Option(min=0, help=f"Of the dense head; {STEPS} for a run, 0 (leave it) for a pack.")
    ] = None,
    tile_steps: Annotated[int, typer.Option(min=0, help="Of the tile model; 0: leave it.")] = 2000,
    loss: Annotated[str, typer.Option(help="Of the tile model: ranknet, hinge or fidelity.")] = "ranknet",
    rate: Annotated[float, typer.Option(min=0.0, help="Learning rate of the tile model.")] = semi.Recipe.rate,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, not from the pack's own tile model.")] = False,
    card: Annotated[Path | None, typer.Option("--card", help="Model card of the new pack, Markdown.")] = None,
    seed: int = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Teach the blur of a run or a pack: frames against blurred versions of themselves, and pairs that people compared;
    the dense head by the tile model. Detection stays as it is.

    Example: wayside-central train blur runs/first --images frames/

    Example: wayside-central train blur base --images frames/ --judge val.json --judge-images frames --out site.wpack
    """
    wish = Wish(images or [], data, steps, tile_steps, loss, seed, rate, fresh, card)
    try:
        if not wish.images and (tile_steps or steps or judge is None):
            raise ValueError("--images: give a folder of images to learn from")
        if (Path(target) / LAST).is_file():
            answer = teach_run(Path(target), wish)
        elif out is None:
            raise ValueError(f"{target}: not a training run; for a pack, give --out, a folder or a {SUFFIX} file")
        else:
            answer = teach_pack(target, wish, judge, judge_images, out)
    except MISTAKES as error:
        print(f"wayside-central: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    print(json.dumps(answer) if as_json else f"done: {answer}")
