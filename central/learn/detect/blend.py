"""``wayside-central train blend``: between what a run started from and what it became.

Fine-tuned weights fit their own cameras; the weights they started from often hold more of all others. On the straight
line between them lies what is better than both on cameras that neither has seen (Wortsman et al., Robust fine-tuning of
zero-shot models, CVPR 2022).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, cast

import typer
from torch import Tensor

from central.learn.start import AVERAGE, LAST, StartError, weights_from
from export import checkpoint

BLENDED = "blended"
"""Key of a checkpoint that was blended, with the share."""


def blend(start: dict[str, Tensor], trained: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return ``(1 - share) * start + share * trained`` for the weights that both have; others as trained.

    `share` 0..1. Raises StartError where no weight is common to both.
    """
    common = {
        name for name, value in trained.items()
        if name in start and start[name].shape == value.shape and value.is_floating_point()
    }  # fmt: skip
    if not common:
        raise StartError("the two have no weight in common; give what the run started from")
    return {
        name: (start[name] * (1 - share) + value * share).to(value.dtype) if name in common else value
        for name, value in trained.items()
    }


def blend_run(folder: Path, source: str, share: float) -> None:
    """Replace the averaged weights of the run in `folder` by a blend with those of `source`, once.

    Raises StartError, checkpoint.CheckpointError, OSError.
    """
    tensors, about = checkpoint.read(folder / LAST)
    if BLENDED in about:
        raise StartError(f"{folder}: blended already; train again to blend otherwise")
    trained = {name.removeprefix(AVERAGE): value for name, value in tensors.items() if name.startswith(AVERAGE)}
    labels = _labels(about)
    made = blend(weights_from(source, labels), trained, share)
    tensors |= {f"{AVERAGE}{name}": value for name, value in made.items()}
    checkpoint.write(folder / LAST, tensors, {**about, BLENDED: {"with": source, "share": share}})


def _labels(about: dict[str, object]) -> tuple[str, ...]:
    try:
        model = cast(dict[str, dict[str, list[str]]], about["config"])["model"]
        return tuple(str(label) for label in model["labels"])
    except (KeyError, TypeError):
        raise StartError("not the checkpoint of a training run") from None


def train_blend(
    run: Annotated[Path, typer.Argument(help="Run folder; its averaged weights are replaced.")],
    start: Annotated[str, typer.Option("--with", help="What it started from: safetensors, a run folder, a pack, base")],
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the trained; the rest is the start's")] = 0.5,
) -> None:
    """Take a run's weights part of the way back to what it started from.

    Example: wayside-central train blend runs/site --with base --share 0.5
    """
    try:
        blend_run(run, start, share)
    except (StartError, checkpoint.CheckpointError, OSError) as error:
        print(f"wayside-central: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    print(f"{run}: {share:g} of the trained weights, the rest those of {start}")
