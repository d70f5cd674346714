"""Our own networks: anchor-free, a distribution over box sides, dynamic assignment."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from central.learn.data.dataset import Batch
from central.learn.detect.loss import Losses, detection_loss, shared
from central.learn.families import Rows, Tutor
from central.learn.incremental.tutor import ElasticTutor
from central.learn.models import ModelConfig, Network, build
from central.learn.models.network import cells

PER_TAG: Final = ("tags.out.", "tags.query", "tags.classes", "tags.bias")
"""Weights whose first axis is the tags."""
PAIRED: Final = "tags.graph.adjacency"
"""The weight whose both axes are the tags."""


class Wayside:
    """The family."""

    name = "wayside"
    tuning_rate = 6e-4
    """A third of what training from scratch uses: old knowledge should bend, not break."""

    def build(self, config: ModelConfig) -> Network:
        """Return a freshly initialised network."""
        return build(config)

    def rows(self, name: str) -> Rows | None:
        """Return what the rows of the weight `name` stand for."""
        if name == PAIRED:
            return "pairs"
        return "labels" if name.startswith("detect.classes.") else "tags" if name.startswith(PER_TAG) else None

    def whole(self, network: Any, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `weights`: the graph lacks nothing."""
        return weights

    def losses(
        self, network: Any, batch: Batch, guess: Tensor | None, fast: bool, tutor: Tutor | None = None
    ) -> Losses:
        """Return the losses of `network` on `batch`."""
        device = batch.images.device
        with torch.autocast(device.type, torch.bfloat16, enabled=fast):
            raw = network.raw(batch.images)
        centres, strides = cells(batch.images.shape[2], batch.images.shape[3], device)
        named = shared(network.config.labels, network.config.tags)
        losses = detection_loss(raw, batch, centres, strides, guess, named)[0]
        return losses if tutor is None else losses._replace(kept=tutor(raw, batch))

    def tutor(self, teacher: Any, labels: tuple[str, ...], weight: float) -> Tutor:
        """Return elastic response distillation from `teacher`."""
        return ElasticTutor(teacher, labels, weight)


FAMILY = Wayside()
