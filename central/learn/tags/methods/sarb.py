"""Semantic-aware representation blending (Pu et al., AAAI 2022): features of known tags are mixed into unknown ones."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.tags import Learner, Material, Stage, generator
from central.learn.tags.config import TagsConfig
from central.learn.tags.losses import instance_contrast, masked_bce
from central.learn.tags.network import TagNetwork
from central.learn.tags.prototypes import of_classes

HALF: Final = 0.5
"""Where the learned shares of mixing start."""


def soft_bce(logits: Tensor, labels: Tensor, soft: Tensor, mixed: Tensor) -> Tensor:
    """Return the mean cross entropy over the known cells and those that are `mixed` ``[B, C]``, with target `soft`."""
    target = torch.where(mixed, soft, (labels > 0).float())
    counted = mixed | (labels != 0)
    terms = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return torch.where(counted, terms, torch.zeros_like(terms)).sum() / counted.sum().clamp_min(1)


class Blending(Learner):
    """At work."""

    fast = ("alpha", "beta")

    def __init__(self, config: TagsConfig, labels: Tensor) -> None:
        super().__init__()
        self.config = config
        self.alpha, self.beta = nn.Parameter(torch.tensor(HALF)), nn.Parameter(torch.tensor(HALF))
        self.chance = generator(config.seed)
        self.centres = torch.zeros(labels.shape[1], config.prototypes, config.width)
        self.some = torch.zeros(labels.shape[1], dtype=torch.bool)

    def before(self, epoch: int) -> bool:
        return epoch >= self.config.warm and (epoch - self.config.warm) % self.config.refresh == 0

    def look(self, epoch: int, material: Material) -> None:
        self.centres, self.some = of_classes(
            material.features, material.labels, self.config.prototypes, self.chance
        )

    def between_images(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features ``[B, C, D]`` mixed with those of the batch turned round, targets, and which cells were."""
        other, theirs = features.flip(0), labels.flip(0)
        mixed = (labels == 0) & (theirs > 0)
        blended = torch.where(mixed.unsqueeze(2), self.alpha * features + (1 - self.alpha) * other, features)
        return blended, (1 - self.alpha).expand_as(labels), mixed

    def with_prototypes(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features with one unknown class of each image mixed with one of its prototypes."""
        odds = ((labels == 0) & self.some).float()
        mixed = torch.zeros_like(labels, dtype=torch.bool)
        rows = torch.nonzero(odds.sum(1) > 0).flatten()
        if len(rows):
            chosen = torch.multinomial(odds[rows], 1, generator=self.chance).squeeze(1)
            mixed[rows, chosen] = True
        kind = torch.randint(self.centres.shape[1], labels.shape, generator=self.chance)
        picked = self.centres[torch.arange(labels.shape[1]), kind]
        blended = torch.where(mixed.unsqueeze(2), self.beta * features + (1 - self.beta) * picked, features)
        return blended, (1 - self.beta).expand_as(labels), mixed

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        config, seen = self.config, network(maps)
        found = {
            "known": masked_bce(seen.logits, labels),
            "contrast": config.contrast * instance_contrast(seen.features, labels, self.chance),
        }
        if stage.epoch >= config.warm:
            for name, blend in (("intra", self.between_images), ("inter", self.with_prototypes)):
                blended, soft, mixed = blend(seen.features, labels)
                found[name] = soft_bce(network.classify(blended), labels, soft.detach(), mixed)
        return found

    @torch.no_grad()
    def settle(self) -> None:
        self.alpha.clamp_(0, 1)
        self.beta.clamp_(0, 1)


class Sarb:
    """The method."""

    name = "sarb"
    about = "features of known tags are mixed into unknown ones, with soft targets"

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner."""
        return Blending(config, labels)


METHOD = Sarb()
