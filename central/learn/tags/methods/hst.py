"""Heterogeneous semantic transfer (Chen et al., IJCV 2024, arXiv 2205.11131): the default.

Intra-image transfer: an unknown tag is present where it goes with those that are known present in this very image.
Cross-image transfer: where its part of the image looks like the prototypes of the tag. Each branch has a threshold that
learns. Neither ever says that something is absent.

What is known and what is transferred counts by the asymmetric loss, not by cross entropy as in the paper (`hst_bce`):
with so few cells known it did better on images held back from training. And a pseudo label is given where the threshold
is sure of it (`sure`), not from the threshold on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from central.learn.tags import Learner, Material, Stage, generator
from central.learn.tags.config import TagsConfig
from central.learn.tags.losses import cooccurrence, instance_contrast, prototype_contrast
from central.learn.tags.methods.asl import masked_asl
from central.learn.tags.network import PairHead, TagNetwork, from_neighbours
from central.learn.tags.prototypes import nearness, of_classes
from central.learn.tags.threshold import RATE, Threshold

BRANCHES = ("intra", "inter")
Base = Callable[[Tensor, Tensor], Tensor]


class Transfer(Learner):
    """At work, with one branch or both."""

    fast = ("thresholds.",)
    fast_rate = RATE

    def __init__(
        self, config: TagsConfig, labels: Tensor, branches: tuple[str, ...] = BRANCHES, base: Base = masked_asl
    ) -> None:
        super().__init__()
        self.config, self.branches, self.base = config, branches, base
        classes = labels.shape[1]
        self.pairs = PairHead(classes, config.width, config.hidden)
        self.thresholds = torch.nn.ModuleDict({branch: Threshold(sure=config.sure) for branch in branches})
        self.chance = generator(config.seed)
        self.centres = torch.zeros(classes, config.prototypes, config.width)
        self.some = torch.zeros(classes, dtype=torch.bool)

    def before(self, epoch: int) -> bool:
        wanted = "inter" in self.branches and epoch >= self.config.warm
        return wanted and (epoch - self.config.warm) % self.config.refresh == 0

    def look(self, epoch: int, material: Material) -> None:
        self.centres, self.some = of_classes(
            material.features, material.labels, self.config.prototypes, self.chance
        )

    def quantities(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return by branch how much speaks for each tag, ``[B, C]``, at most 1."""
        found = {}
        if "intra" in self.branches:
            found["intra"] = from_neighbours(self.pairs.matrix(self.pairs(features)), labels)
        if "inter" in self.branches:
            found["inter"] = nearness(features, self.centres)
        return found

    def pseudo(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return {b: self._threshold(b).emit(q, labels) for b, q in self.quantities(features, labels).items()}

    def _threshold(self, branch: str) -> Threshold:
        found = self.thresholds[branch]
        assert isinstance(found, Threshold)
        return found

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        config, seen = self.config, network(maps)
        ramp = min(1.0, stage.epoch + stage.progress)
        logits = self.pairs(seen.features) if "intra" in self.branches else None
        found = {
            "known": self.base(seen.logits, labels),
            "contrast": ramp * config.contrast * instance_contrast(seen.features, labels, self.chance),
        }
        if logits is not None:
            found["pairs"] = ramp * config.cooccurrence * cooccurrence(logits, labels)
        if stage.epoch < config.warm:
            return found
        for branch in self.branches:
            if branch == "intra" and logits is not None:
                quantity = from_neighbours(self.pairs.matrix(logits), labels)
                counted = torch.where((labels > 0).any(1, keepdim=True), labels, torch.zeros_like(labels))
            else:
                quantity = nearness(seen.features, self.centres)
                counted = torch.where(self.some, labels, torch.zeros_like(labels))
                found["prototypes"] = config.contrast * prototype_contrast(quantity, labels, self.some)
            threshold = self._threshold(branch)
            found[branch] = getattr(config, branch) * self.base(seen.logits, threshold.emit(quantity, labels))
            found[f"threshold_{branch}"] = config.threshold * threshold.loss(quantity, counted)
        return found

    def settle(self) -> None:
        for branch in self.branches:
            self._threshold(branch).settle()


class Hst:
    """The method, with the `branches` that it has, and `base`, its loss of logits against labels."""

    def __init__(self, name: str, about: str, branches: tuple[str, ...] = BRANCHES, base: Base = masked_asl) -> None:
        self.name, self.about, self.branches, self.base = name, about, branches, base

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner."""
        return Transfer(config, labels, self.branches, self.base)


METHOD = Hst("hst", "unknown cells become present by co-occurrence or likeness, at learned thresholds")
