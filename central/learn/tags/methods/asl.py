"""The asymmetric loss (Ridnik et al., ICCV 2021) on known cells: easy absent ones hardly count."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from central.learn.tags import Learner, Stage
from central.learn.tags.config import TagsConfig
from central.learn.tags.losses import asymmetric
from central.learn.tags.network import TagNetwork

PRESENT: Final = 1.0
ABSENT: Final = 4.0


def masked_asl(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean asymmetric loss over the known cells of ``[B, C]``; 0 where there are none."""
    known = labels != 0
    terms = asymmetric(logits.sigmoid(), (labels > 0).float(), PRESENT, ABSENT)
    return torch.where(known, terms, torch.zeros_like(terms)).sum() / known.sum().clamp_min(1)


class Asymmetric(Learner):
    """At work."""

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        return {"known": masked_asl(network(maps).logits, labels)}


class Asl:
    """The method."""

    name = "asl"
    about = "known cells count, easy absent ones hardly"

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner."""
        return Asymmetric()


METHOD = Asl()
