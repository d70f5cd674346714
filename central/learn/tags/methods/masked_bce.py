"""Cross entropy on known cells alone: what every other method is measured against."""

from __future__ import annotations

from torch import Tensor

from central.learn.tags import Learner, Stage
from central.learn.tags.config import TagsConfig
from central.learn.tags.losses import masked_bce
from central.learn.tags.network import TagNetwork


class Masked(Learner):
    """At work."""

    def losses(self, network: TagNetwork, maps: Tensor, labels: Tensor, stage: Stage) -> dict[str, Tensor]:
        return {"known": masked_bce(network(maps).logits, labels)}


class MaskedBce:
    """The method."""

    name = "masked_bce"
    about = "unknown cells count for nothing"

    def start(self, config: TagsConfig, labels: Tensor) -> Learner:
        """Return a fresh learner."""
        return Masked()


METHOD = MaskedBce()
