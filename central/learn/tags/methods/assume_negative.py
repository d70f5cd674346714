"""Cross entropy with every unknown cell taken for absent: the floor."""

from __future__ import annotations

import torch
from torch import Tensor

from central.learn.tags import Learner, Stage
from central.learn.tags.config import TagsConfig
from central.learn.tags.losses import masked_bce
from central.learn.tags.network import TagNetwork


class Assuming(Learner):
    """At work."""

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        assumed = torch.where(labels == 0, -torch.ones_like(labels), labels)
        return {"all": masked_bce(network(maps).logits, assumed)}


class AssumeNegative:
    """The method."""

    name = "assume_negative"
    about = "unknown cells count as absent"

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner."""
        return Assuming()


METHOD = AssumeNegative()
