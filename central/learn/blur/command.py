"""``wayside-central train blur``: the blur head of a training run, from images without labels."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, cast

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from central import settings
from central.annotate import crops
from central.commands.common import CommandError, store
from central.learn.blur.fit import fit
from central.learn.blur.pairs import Comparison, read
from central.learn.data import Example
from central.learn.models import Network
from central.settings import SettingsError
from central.store import blobs as blob_store
from central.store.blobs import BlobError
from export import checkpoint
from export.graph import ExportError
from export.run import AVERAGE, LAST, SUFFIXES, load_run

HEAD = "blur."
PAIRS = "pairs"
"""Folder of a run with the pairs that it learned from."""


def unlabelled(folders: list[Path]) -> list[Example]:
    """Return every image below `folders`, without labels."""
    paths = [p for f in folders for p in sorted(f.rglob("*")) if p.suffix.lower() in SUFFIXES]
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, bool)
    return [Example(path, *empty) for path in paths]


async def _answered(data: Path, folder: Path) -> list[Comparison]:
    """Return the pairs that were answered at the centre whose folder is `data`, with their crops in `folder`."""
    settled = settings.load(data=data)
    async with store(settled) as database:
        blobs = blob_store.connect(settled.blob_url, settled.data / "blobs")
        await crops.save(database, blobs, folder)
    return read(folder)


def train_blur(
    run: Annotated[Path, typer.Argument(help="Folder of a training run; its blur head is replaced")],
    images: Annotated[list[Path], typer.Option("--images", help="Folder of images, no labels needed; repeatable")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of a centre: learn from its answered blur pairs, too")
    ] = None,
    steps: Annotated[int, typer.Option(min=1)] = 400,
    seed: int = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Teach the blur head of a run: frames against blurred versions of themselves, and pairs that people compared.
    Detection stays as it is.

    Example: wayside-central train blur runs/first --images frames/

    Example: wayside-central train blur runs/first --images frames/ --data /var/lib/wayside
    """
    columns = TextColumn("training blur"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        examples = unlabelled(images)
        if not examples:
            raise ValueError(f"{images[0]}: no images in it; give a folder of .jpg or .png files")
        pairs = [] if data is None else asyncio.run(_answered(data, run / PAIRS))
        network = cast(Network, load_run(run)[0])
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("blur", total=steps)
            loss = fit(network, examples, steps, seed, lambda step, _: bar.update(task, completed=step), pairs)
        tensors, about = checkpoint.read(run / LAST)
        for name, tensor in network.state_dict().items():
            if name.startswith(HEAD):
                tensors |= {AVERAGE + name: tensor, f"network.{name}": tensor}
        checkpoint.write(run / LAST, tensors, about)
    except (
        checkpoint.CheckpointError, ExportError, CommandError, BlobError, SettingsError, ValueError, OSError
    ) as error:  # fmt: skip
        print(f"wayside-central: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    answer = {"run": str(run), "steps": steps, "images": len(examples), "pairs": len(pairs), "loss": loss}
    print(json.dumps(answer) if as_json else f"done: {answer}")
