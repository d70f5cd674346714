"""Low-rank updates: each convolution of the trunk learns W + B A, of which only the two thin factors move.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022; a kernel ``[O, I, k, k]`` counts as a matrix
``[O, I k k]``. B starts at zero, so that the network starts as it was.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """Adds ``scale * B A`` to the weight of a convolution."""

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        rank = min(rank, rows, columns)
        self.thin_a = nn.Parameter(torch.empty(rank, columns))
        self.thin_b = nn.Parameter(torch.zeros(rows, rank))
        nn.init.kaiming_uniform_(self.thin_a, a=math.sqrt(5))
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with its update."""
        return weight + self.scale * (self.thin_b @ self.thin_a).view_as(weight)


def attach(network: Any, rank: int, scale: float = 2.0) -> list[str]:
    """Give every convolution of the trunk of `network` a low-rank update; return the names of what then learns there.

    Their own weights no longer learn. A convolution that the update would not make smaller is left alone.
    """
    names = []
    for name, module in list(network.named_modules()):
        if not isinstance(module, nn.Conv2d) or not name.startswith(network.trunk):
            continue
        rows, columns = module.weight.shape[0], module.weight[0].numel()
        if rank * (rows + columns) >= rows * columns:
            continue
        parametrize.register_parametrization(module, "weight", LowRank(module.weight, rank, scale))
        names += [f"{name}.parametrizations.weight.0.thin_a", f"{name}.parametrizations.weight.0.thin_b"]
    return names


def merge(network: Any) -> Any:
    """Put the updates into the weights of `network`, which has its former names again, and return it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return network
