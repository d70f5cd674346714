"""The networks. `build` makes one from a `ModelConfig`; every family gives the same raw outputs.

    image -> backbone (strides 8, 16, 32) -> neck -> heads: boxes, blur, embedding, tags
"""

from typing import Any

import msgspec

from central.learn.models.config import SIZES, ModelConfig
from central.learn.models.network import Network, Raw

__all__ = ["SIZES", "ModelConfig", "Network", "Raw", "build", "from_json"]


def build(config: ModelConfig) -> Network:
    """Return a freshly initialised network for `config`. Seed torch beforehand for a repeatable one."""
    return Network(config)


def from_json(config: dict[str, Any]) -> Network:
    """Return a fresh network for the JSON form of a `ModelConfig`: the entry point for who only has a run's folder.

    Raises ValueError.
    """
    return build(msgspec.convert(config, ModelConfig))
