"""What a run of self-supervision is asked to do: stored with it, so that it can be repeated and resumed."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from central.learn.models.config import ModelConfig
from central.learn.ssl import IMAGE_AND_OBJECT

Positive = Annotated[float, Meta(gt=0)]


class SslConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run. Views have the size of the model's input."""

    model: ModelConfig
    pretexts: dict[str, Positive] = msgspec.field(default_factory=lambda: dict(IMAGE_AND_OBJECT))
    """Weight of each pretext."""
    options: dict[str, dict[str, Any]] = {}
    """Of pretexts that are not as they come."""
    boxes: tuple[str, ...] = ()
    """Sources of boxes, the first that finds any; none where no pretext wants them."""
    detector: str = "base"
    """Pack that the source ``detector`` asks."""
    close: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the views that show one object, where boxes are known, in place of the scene."""
    steps: Annotated[int, Meta(ge=1)] = 6000
    batch: Annotated[int, Meta(ge=2, le=65536)] = 24
    rate: Annotated[float, Meta(gt=0, le=1)] = 1e-3
    """Highest learning rate of AdamW at this batch size."""
    decay: Annotated[float, Meta(ge=0, le=1)] = 0.01
    """Weight decay; biases and norms have none."""
    warmup: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    """Share of the steps in which the rate grows."""
    momentum: Annotated[float, Meta(ge=0, le=1)] = 0.99
    """Of the teacher at the first step; a cosine takes it to 1."""
    clip: Positive = 5.0
    """Largest norm of the gradient."""
    seed: int = 0
    workers: Annotated[int, Meta(ge=0, le=64)] = 0
    amp: bool = True
    """bfloat16 where there is a GPU."""
    save_every: Annotated[int, Meta(ge=1)] = 500
    look_every: Annotated[int, Meta(ge=1)] = 50
    """Steps between two lines of the history."""
    probe_every: Annotated[int, Meta(ge=0)] = 1000
    """Steps between two probes; 0: only at the end."""

    def rate_at(self, step: int) -> float:
        """Return the share of the highest rate at `step`: linear warm-up, then a cosine to 0."""
        warm = max(1, round(self.warmup * self.steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))

    def momentum_at(self, step: int) -> float:
        """Return how much of the teacher stays at `step` (BYOL, section 3.3)."""
        return 1 - (1 - self.momentum) * 0.5 * (1 + math.cos(math.pi * step / self.steps))
