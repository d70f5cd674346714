"""Curriculum labelling (Durand et al., CVPR 2019): learn, label what is sure, learn on, with all that was labelled."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from central.learn.tags import Learner, Material, Stage
from central.learn.tags.config import TagsConfig
from central.learn.tags.losses import masked_bce
from central.learn.tags.network import TagNetwork

SURE: Final = 2.0
"""Logit from which a guess becomes a label, of either sign: 0.88."""


class Curriculum(Learner):
    """At work."""

    def __init__(self, config: TagsConfig, labels: Tensor) -> None:
        super().__init__()
        self.warm, self.every = config.warm, config.refresh
        self.guessed = labels.clone()

    def before(self, epoch: int) -> bool:
        return epoch >= self.warm and (epoch - self.warm) % self.every == 0

    def look(self, epoch: int, material: Material) -> None:
        sure = torch.where(material.logits.abs() > SURE, material.logits.sign(), torch.zeros_like(material.logits))
        self.guessed = torch.where(material.labels == 0, sure, material.labels)

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        return {"labelled": masked_bce(network(maps).logits, self.guessed[stage.rows])}


class CurriculumLabelling:
    """The method."""

    name = "curriculum"
    about = "unknown cells are labelled, present or absent, where the network is sure"

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner."""
        return Curriculum(config, labels)


METHOD = CurriculumLabelling()
