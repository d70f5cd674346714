"""``wayside-central train blur``: the blur head of a training run, from images without labels."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, cast

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from central.learn.blur.fit import fit
from central.learn.data import Example
from central.learn.models import Network
from export import checkpoint
from export.graph import ExportError
from export.run import AVERAGE, LAST, SUFFIXES, load_run

HEAD = "blur."


def unlabelled(folders: list[Path]) -> list[Example]:
    """Return every image below `folders`, without labels."""
    paths = [p for f in folders for p in sorted(f.rglob("*")) if p.suffix.lower() in SUFFIXES]
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, bool)
    return [Example(path, *empty) for path in paths]


def train_blur(
    run: Annotated[Path, typer.Argument(help="Folder of a training run; its blur head is replaced")],
    images: Annotated[list[Path], typer.Option("--images", help="Folder of images, no labels needed; repeatable")],
    steps: Annotated[int, typer.Option(min=1)] = 400,
    seed: int = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Teach the blur head of a run: frames against blurred versions of themselves. Detection stays as it is.

    Example: wayside-central train blur runs/first --images frames/
    """
    columns = TextColumn("training blur"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        examples = unlabelled(images)
        if not examples:
            raise ValueError(f"{images[0]}: no images in it; give a folder of .jpg or .png files")
        network = cast(Network, load_run(run)[0])
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("blur", total=steps)
            loss = fit(network, examples, steps, seed, lambda step, _: bar.update(task, completed=step))
        tensors, about = checkpoint.read(run / LAST)
        for name, tensor in network.state_dict().items():
            if name.startswith(HEAD):
                tensors |= {AVERAGE + name: tensor, f"network.{name}": tensor}
        checkpoint.write(run / LAST, tensors, about)
    except (checkpoint.CheckpointError, ExportError, ValueError, OSError) as error:
        print(f"wayside-central: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    answer = {"run": str(run), "steps": steps, "images": len(examples), "loss": loss}
    print(json.dumps(answer) if as_json else f"done: {answer}")
