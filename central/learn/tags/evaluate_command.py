"""``wayside-central evaluate-tags``: how good a pack's tags are."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from central.commands.common import CommandError, plain_errors, say
from central.learn.data.dataset import read_image
from central.learn.detect.coco import DatasetError
from central.learn.detect.evaluate_command import progress_bar
from central.learn.tags import data, plots
from central.learn.tags.data import Tagged
from central.learn.tags.metrics import Prf, TagReport, report
from edge.runtime import RuntimeFault, packs
from edge.runtime.model import Model
from protocols.pack import PackError

SMALLEST: Final = 1e-6
"""Probability that a score is kept away from 0 and 1 by, to be a logit."""


def judge(model: Model, truth: Tagged, console: Console) -> tuple[TagReport, int]:
    """Return the figures of the pack's tags against `truth`, and how many images could not be read."""
    rows, kept = [], []
    with progress_bar("evaluating", console) as progress:
        for place, path in enumerate(truth.paths):
            image = read_image(str(path))
            tags = None if image is None else model.infer(image).tags
            if tags is not None:
                rows.append(np.clip(tags.reshape(-1), SMALLEST, 1 - SMALLEST))
                kept.append(place)
            progress(place + 1, len(truth.paths))
    if not rows:
        raise DatasetError(f"{truth.paths[0]}: none of the images can be read")
    odds = np.array(rows, np.float64)
    logits = np.log(odds / (1 - odds)).astype(np.float32)
    own = data.aligned(truth.take(kept), tuple(model.pack.manifest.tags))
    return report(logits, own.labels, own.names), len(truth.paths) - len(kept)


def _row(name: str, prf: Prf) -> tuple[str, ...]:
    return (name, *(f"{100 * v:.1f}" for v in (prf.cp, prf.cr, prf.cf1, prf.op, prf.or_, prf.of1)))


def tables(found: TagReport) -> list[Table]:
    """Return the figures for people, in percent."""
    whole = Table("at", "CP", "CR", "CF1", "OP", "OR", "OF1", title=f"mAP {100 * found.map:.1f}, {found.images} images")
    whole.add_row(*_row("0.5", found.prf))
    whole.add_row(*_row("top 3", found.top))
    each = Table("tag", "ap", "precision", "recall", "present", "absent")
    for name, row in found.tags.items():
        ap = "-" if row["ap"] is None else f"{100 * row['ap']:.1f}"
        shares = (f"{100 * row[key]:.1f}" for key in ("precision", "recall"))
        each.add_row(name, ap, *shares, str(row["present"]), str(row["absent"]))
    return [whole, each]


def evaluate_tags(
    pack: Annotated[str, typer.Option("--pack", help="A pack: folder, .wpack file, or 'base'.")],
    truth: Annotated[Path, typer.Option("--truth", help="COCO file, CSV table or JSON list of tags.")],
    images: Annotated[Path, typer.Option("--images", help="Folder that the file names of the truth start from.")],
    picture: Annotated[Path | None, typer.Option("--plot", help="PNG with a bar for each tag.")] = None,
    precision: Annotated[str, typer.Option(help="Variant of the pack: fp32, fp16, int8 ...")] = "fp32",
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of one pass.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Measure a pack's tags: mAP, precision, recall and F1 by class (C) and over all (O), per tag. Unknown cells of the
    truth do not count.

    Example: wayside-central evaluate-tags --pack base --truth street/val.json --images street/images
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with plain_errors(PackError, RuntimeFault, DatasetError), tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        opened = packs.find(pack, Path(scratch))
        if not opened.manifest.tags:
            raise CommandError(f"{pack}: this pack has no tags; train some with wayside-central train tags")
        known = data.load(truth, images)
        if not set(known.names) & set(opened.manifest.tags):
            theirs = ", ".join(opened.manifest.tags[:20])
            raise CommandError(f"{truth}: none of its tags is among those of the pack, {theirs}")
        with Model(opened, "cpu", precision, threads) as model:
            found, unread = judge(model, known, console)
    if unread:
        say(f"left out: {unread} images that cannot be read")
    if picture is not None:
        plots.per_tag(found, picture)
    if as_json:
        typer.echo(json.dumps({"pack": opened.address, **msgspec.to_builtins(found), "unread": unread}))
        return
    for table in tables(found):
        Console().print(table)
