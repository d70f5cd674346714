"""``wayside-central train detect``: from COCO files to a run folder."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer
from numpy.typing import NDArray

from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.data.dataset import evened
from central.learn.detect.coco import DatasetError
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run, TrainingError
from central.learn.distributed import join
from central.learn.families import AnyConfig
from central.learn.models import ModelConfig
from central.learn.models.detr import DetrConfig, configure, pretrained
from central.learn.start import weights_from
from central.learn.steps import StepBar
from export import checkpoint

DEFAULT_LABELS = "person,two_wheeler,car,bus,truck"


@dataclass(frozen=True)
class Part:
    """A COCO file, its folder of images, and its share of the samples (relative to the other parts)."""

    truth: Path
    images: Path
    share: float

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``COCO.json:IMAGES[:SHARE]``. Raises DatasetError."""
        fields = text.split(":")
        try:
            share = float(fields[2]) if len(fields) == 3 else 1.0
        except ValueError:
            share = 0.0
        if len(fields) not in (2, 3) or not share > 0:
            raise DatasetError(f"{text}: give COCO.json:IMAGES or COCO.json:IMAGES:SHARE, the share above 0")
        return cls(Path(fields[0]), Path(fields[1]), share)


def gather(parts: list[Part], labels: tuple[str, ...]) -> tuple[list[Example], NDArray[np.float64]]:
    """Return the examples of all `parts` and how often each is drawn. Raises DatasetError."""
    found: list[Example] = []
    shares: list[float] = []
    for part in parts:
        own = load(part.truth, part.images, labels)
        if not own:
            raise DatasetError(f"{part.truth}: no labelled image in it")
        missing = [e.path for e in own if not e.path.is_file()]
        if missing:
            count = f"{len(missing)} of {len(own)} of {part.truth} are missing"
            raise DatasetError(f"{missing[0]}: no such image ({count})")
        found += own
        shares += [part.share / len(own)] * len(own)
    return found, np.array(shares)


def size_of(text: str) -> tuple[int, int]:
    """Read ``HxW``. Raises DatasetError."""
    try:
        height, width = (int(v) for v in text.lower().split("x"))
    except ValueError:
        raise DatasetError(f"input size {text!r}: give HEIGHTxWIDTH, for example 288x512") from None
    return height, width


def model_of(detr: str | None, size: str, labels: tuple[str, ...], height: int, width: int) -> AnyConfig:
    """Return the network to train: ours of `size`, or the one at `detr`. Raises ValueError."""
    if detr:
        return configure(detr, labels, labels, height, width)
    return ModelConfig(size=size, labels=labels, tags=labels, height=height, width=width)


def learning(only: str) -> dict[str, Any]:
    """Return what `only` asks a run to train. Raises DatasetError."""
    if only in ("all", "heads", "heads+norms", "low-rank"):
        return {"train": only}
    names = tuple(name.strip() for name in only.split(","))
    if "blur" in names:
        raise DatasetError("--only blur: the blur head learns without labels; wayside-central train blur RUN")
    return {"only": names}


def train_detect(
    train: Annotated[list[str], typer.Option(help="COCO.json:IMAGES[:SHARE]; may be given several times")],
    out: Annotated[Path, typer.Option(help="Run folder; a run that was interrupted there goes on")],
    val: Annotated[list[str] | None, typer.Option(help="COCO.json:IMAGES to watch the run on")] = None,
    size: Annotated[str, typer.Option(help="tiny, nano, small or medium")] = "nano",
    input_size: Annotated[str, typer.Option("--input", help="HEIGHTxWIDTH, multiples of 32")] = "288x512",
    labels: Annotated[str, typer.Option(help="Class names, in order, separated by commas")] = DEFAULT_LABELS,
    steps: int = 6000,
    batch: int = 16,
    rate: float = 2e-3,
    augment: Annotated[str, typer.Option(help="none, light or full")] = "full",
    even: Annotated[bool, typer.Option(help="Draw images of rare classes more often")] = True,
    start: Annotated[
        str | None, typer.Option(help="Start from this: safetensors, a run folder, a pack file or folder, or base")
    ] = None,
    only: Annotated[
        str, typer.Option(help="What learns: all, heads, heads+norms, low-rank, or heads by name: detect,tags")
    ] = "all",
    detr: Annotated[
        str | None, typer.Option(help="Fine-tune this D-FINE or DEIMv2 (folder or hub name) instead of ours")
    ] = None,
    seed: int = 0,
    workers: int = 1,
    evaluate_every: int = 500,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Train a detector from COCO files.

    Example: wayside-central train detect --train train.json:images --val val.json:images --steps 3000 --out runs/first
    """
    try:
        names = tuple(n.strip() for n in labels.split(","))
        config = TrainConfig(
            model=model_of(detr, size, names, *size_of(input_size)),
            steps=steps, batch=batch, rate=rate, augment=augment, seed=seed, workers=workers,  # type: ignore[arg-type]
            evaluate_every=evaluate_every, **learning(only),
        )  # fmt: skip
        examples, shares = gather([Part.parse(p) for p in train], names)
        if even:
            shares = evened(examples, shares)
        watched = gather([Part.parse(p) for p in val], names)[0] if val else []
        weights = weights_from(start, names) if start else None
        if detr and not weights:
            weights = pretrained(detr, cast(DetrConfig, config.model))
        with join() as group:
            result = Run(config, examples, watched, out, shares, weights, group=group).run(
                _Progress("training") if group.first else lambda _: None
            )
    except (DatasetError, checkpoint.CheckpointError, TrainingError, ValueError, OSError) as error:
        print(f"wayside-central: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    if not group.first:
        return
    answer: dict[str, Any] = {"out": str(out), "steps": steps, "seconds": round(result.seconds, 1)}
    if result.quick:
        answer |= {"ap50": result.quick.ap50, "per_class": result.quick.per_class}
    if result.skipped:
        answer["skipped"] = len(result.skipped)
        print(f"{len(result.skipped)} images could not be read, the first: {result.skipped[0]}", file=sys.stderr)
    print(json.dumps(answer) if as_json else f"done: {answer}")


class _Progress(StepBar):
    """What a run reports, on a bar."""

    best = ""

    def __call__(self, row: dict[str, Any]) -> None:
        if "ap50" in row:
            self.best = f" AP50 {row['ap50']:.3f}"
        note = f"loss {row['loss']:.3f}{self.best} {row['eta_s']:.0f} s left"
        self.show(row["step"], row["steps"], note, always="ap50" in row)
