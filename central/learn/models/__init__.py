"""The networks. `build` makes one from a `ModelConfig`; every family gives the same raw outputs.

    image -> backbone (strides 8, 16, 32) -> neck -> heads: boxes, blur, embedding, tags
"""

from typing import Any

from torch import nn

from central.learn.models.config import SIZES, ModelConfig
from central.learn.models.network import Network, Raw

__all__ = ["SIZES", "ModelConfig", "Network", "Raw", "build", "from_json"]


def build(config: ModelConfig) -> Network:
    """Return a freshly initialised network for `config`. Seed torch beforehand for a repeatable one."""
    return Network(config)


def from_json(config: dict[str, Any]) -> nn.Module:
    """Return a fresh network of any family for the JSON form of its configuration, which one without a ``family`` has
    of ours: the entry point for who only has a run's folder.

    Raises ValueError.
    """
    from central.learn import families  # here, as the families are built on this package

    parsed = families.parse(config)
    return families.of(parsed).build(parsed)
