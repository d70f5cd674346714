"""What a training run is asked to do: stored with it, so that it can be repeated and resumed."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from central.learn.families import AnyConfig


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training run. Rates are per step at the given batch size."""

    model: AnyConfig
    steps: Annotated[int, Meta(ge=1)] = 6000
    batch: Annotated[int, Meta(ge=1, le=1024)] = 16
    rate: Annotated[float, Meta(gt=0, le=1)] = 2e-3
    """Highest learning rate of AdamW; a cosine takes it to a twentieth."""
    decay: Annotated[float, Meta(ge=0, le=1)] = 0.05
    """Weight decay; biases and norms have none."""
    warmup: Annotated[int, Meta(ge=0)] = 300
    clip: Annotated[float, Meta(gt=0)] = 10.0
    augment: Literal["none", "light", "full"] = "full"
    calm: Annotated[float, Meta(ge=0, le=1)] = 0.15
    """Share of the steps at the end that run with light augmentation, so that the last word is about real images."""
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    """Decay of the moving average of the weights."""
    guess: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """How much the network's own opinion of what is background counts for a class that no image is complete for; a
    class that some are complete for gets less of it, one that all are complete for none. 0 turns it off."""
    freeze_norms: bool = False
    """Keep the statistics of batch norms: right for small batches and small changes."""
    train: Literal["all", "heads", "heads+norms", "low-rank"] = "all"
    """What learns: everything, the heads alone, the heads and every batch norm, or these and low-rank updates of the
    trunk. The less, the smaller the update."""
    rank: Annotated[int, Meta(ge=1, le=64)] = 8
    """Of the low-rank updates."""
    only: tuple[str, ...] = ()
    """Heads (``detect``, ``tags``) that alone learn; all else stays as it is, to the bit. Goes before `train`."""
    seed: int = 0
    workers: Annotated[int, Meta(ge=0, le=64)] = 1
    evaluate_every: Annotated[int, Meta(ge=0)] = 500
    """Steps between looks at the validation images; 0 looks only at the end."""
    save_every: Annotated[int, Meta(ge=1)] = 200
    channels_last: bool = True
    amp: bool = True
    """bfloat16 on GPUs (CPUs without it always use float32)."""
