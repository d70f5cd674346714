"""Structured semantic transfer (Chen et al., AAAI 2022): HST's two branches with fixed thresholds and a memory."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from central.learn.tags import Learner, Stage, generator
from central.learn.tags.config import TagsConfig
from central.learn.tags.losses import cooccurrence, instance_contrast, masked_bce, prototype_contrast
from central.learn.tags.network import PairHead, TagNetwork, from_neighbours
from central.learn.tags.prototypes import Memory

HIGH: Final = 0.95
STEP: Final = 0.025
LOW: Final = 0.75
"""The threshold: HIGH when pseudo labels begin, STEP less each epoch, LOW at least."""
REMEMBERED: Final = 100
"""Latest positive features per class."""


def threshold(epoch: int, warm: int) -> float:
    """Return the threshold of both branches in `epoch`."""
    return max(LOW, HIGH - STEP * max(0, epoch - warm))


class Structured(Learner):
    """At work."""

    def __init__(self, config: TagsConfig, labels: Tensor) -> None:
        super().__init__()
        classes = labels.shape[1]
        self.config = config
        self.pairs = PairHead(classes, config.width, config.hidden)
        self.memory = Memory(classes, config.width, REMEMBERED)
        self.chance = generator(config.seed)
        self.theta = HIGH

    def pseudo(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            intra = from_neighbours(self.pairs.matrix(self.pairs(features)), labels)
            inter = self.memory.nearness(features)
        return {name: labels + ((labels == 0) & (q > self.theta)) for name, q in (("intra", intra), ("inter", inter))}

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        config, seen = self.config, network(maps)
        ramp = min(1.0, stage.epoch + stage.progress)
        found = {
            "known": masked_bce(seen.logits, labels),
            "pairs": ramp * config.cooccurrence * cooccurrence(self.pairs(seen.features), labels),
            "contrast": ramp * config.contrast * instance_contrast(seen.features, labels, self.chance),
        }
        if stage.epoch >= config.warm:
            self.theta = threshold(stage.epoch, config.warm)
            added = self.pseudo(seen.features, labels)
            near, some = self.memory.nearness(seen.features), self.memory.filled > 0
            found["prototypes"] = config.contrast * prototype_contrast(near, labels, some)
            found["intra"] = config.intra * masked_bce(seen.logits, added["intra"])
            found["inter"] = config.inter * masked_bce(seen.logits, added["inter"])
        self.memory.add(seen.features, labels)
        return found


class Sst:
    """The method."""

    name = "sst"
    about = "unknown cells become present by co-occurrence or likeness, at fixed thresholds"

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner."""
        return Structured(config, labels)


METHOD = Sst()
