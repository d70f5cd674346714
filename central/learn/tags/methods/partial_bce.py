"""Partial-BCE (Durand et al., CVPR 2019): an image of which little is known counts more for what is known."""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn import functional as F

from central.learn.tags import Learner, Stage
from central.learn.tags.config import TagsConfig
from central.learn.tags.network import TagNetwork

SLOPE: Final = -4.45
OFFSET: Final = 5.45
"""g(p) = SLOPE p + OFFSET of the known share p: 5 at a tenth, 1 where all is known."""


def partial_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over images of g(p) / C times the sum over known cells of softplus(-y s)."""
    known = labels != 0
    share = known.float().mean(1)
    terms = (F.softplus(-labels * logits) * known).sum(1) / labels.shape[1]
    return ((SLOPE * share + OFFSET) * terms).mean()


class Partial(Learner):
    """At work."""

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        return {"known": partial_bce(network(maps).logits, labels)}


class PartialBce:
    """The method."""

    name = "partial_bce"
    about = "known cells count, more so where there are few in the image"

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner."""
        return Partial()


METHOD = PartialBce()
