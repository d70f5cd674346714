"""Class-aware selective loss (Ben-Baruch et al., CVPR 2022): unknown cells count as absent, softly, but for the likely.

Of the unknown cells those of common classes, and in each image the likeliest ones, are left out; the others are weak
negatives with a focusing power of their own.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from central.learn.tags import Learner, Material, Stage
from central.learn.tags.config import TagsConfig
from central.learn.tags.losses import asymmetric
from central.learn.tags.network import TagNetwork

PRESENT: Final = 0.0
ABSENT: Final = 1.0
UNKNOWN: Final = 4.0
"""Focusing powers."""
LIKELY: Final = 5
"""Unknown cells of an image left out for being likely, of 80 classes; of fewer in proportion, at least one."""
COMMON: Final = 0.5
"""Share of images from which a class is left out altogether where it is unknown."""


class Selective(Learner):
    """At work. How common a class is, is what is known of it, and later what the network says of unknown cells."""

    def __init__(self, config: TagsConfig, labels: Tensor) -> None:
        super().__init__()
        self.warm, self.every = config.warm, config.refresh
        known, present = (labels != 0).sum(0), (labels > 0).sum(0)
        self.prior = (present + 1) / (known + 2)
        self.likely = max(1, round(LIKELY * labels.shape[1] / 80))

    def before(self, epoch: int) -> bool:
        return epoch >= self.warm and (epoch - self.warm) % self.every == 0

    def look(self, epoch: int, material: Material) -> None:
        told = torch.where(material.labels == 0, material.logits.sigmoid(), (material.labels > 0).float())
        self.prior = told.mean(0)

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        probability = network(maps).logits.sigmoid()
        unknown = labels == 0
        rank = torch.where(unknown, probability.detach(), torch.full_like(probability, -1.0))
        skip = torch.zeros_like(unknown)
        skip.scatter_(1, rank.topk(self.likely, 1).indices, True)
        skip = (skip | (self.prior > COMMON)) & unknown
        target = (labels > 0).float()
        terms = torch.where(
            unknown, asymmetric(probability, target, PRESENT, UNKNOWN), asymmetric(probability, target, PRESENT, ABSENT)
        )
        return {"cells": (terms * ~skip).sum() / (~skip).sum().clamp_min(1)}


class Csl:
    """The method."""

    name = "csl"
    about = "unlikely unknown cells count as absent, softly"

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner."""
        return Selective(config, labels)


METHOD = Csl()
