"""The moving average of a network's weights, which is what is evaluated and exported."""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


class Average(Generic[N]):
    """Exponential moving average of `network`. The decay grows from 0 to `decay` over some `warm` steps."""

    def __init__(self, network: N, decay: float = 0.999, warm: float = 500.0) -> None:
        self.network = copy.deepcopy(network).eval()
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
        self.decay, self.warm, self.steps = decay, warm, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards `network`."""
        self.steps += 1
        decay = self.decay * (1 - math.exp(-self.steps / self.warm))
        source = network.state_dict()
        floats, wanted = [], []
        moved = set()  # a weight that several names share moves once
        for name, tensor in self.network.state_dict().items():
            if tensor.data_ptr() in moved:
                continue
            moved.add(tensor.data_ptr())
            if tensor.is_floating_point():
                floats.append(tensor)
                wanted.append(source[name])
            else:
                tensor.copy_(source[name])
        torch._foreach_lerp_(floats, wanted, 1 - decay)
