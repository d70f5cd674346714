"""A threshold that learns from which value on a quantity means that a tag is present."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from central.learn.tags.losses import threshold_loss

START: Final = 0.95
LOWEST: Final = 0.5
HIGHEST: Final = 1.0
SHARPNESS: Final = 0.05
"""Width of the smooth step that stands in for the hard one in the loss."""
RATE: Final = 1e-3
"""Learning rate of its own, and no weight decay: else decay and the number of steps would set it, not the data."""


class Threshold(nn.Module):
    """Differentiable threshold (HST, DTL), one scalar.

    `sure` 0.5..1 is from which value of the smooth step on a tag counts as present: 0.5, as published, is the threshold
    itself, where as many are wrong as right. `start` is from which quantity on it counts as present at first.
    """

    def __init__(self, start: float = START, lowest: float = LOWEST, sure: float = 0.5) -> None:
        super().__init__()
        self.lowest = lowest
        self.above = SHARPNESS * math.log(sure / (1 - sure))
        """By how much a quantity has to be above it."""
        self.value = nn.Parameter(torch.tensor(start - self.above))

    def loss(self, quantity: Tensor, labels: Tensor) -> Tensor:
        """Return its loss on the known cells of `quantity` ``[B, C]``."""
        return threshold_loss(quantity, self.value, labels, SHARPNESS)

    @torch.no_grad()
    def settle(self) -> None:
        """Bring it back into its range after a step."""
        self.value.clamp_(self.lowest, HIGHEST)

    def emit(self, quantity: Tensor, labels: Tensor) -> Tensor:
        """Return `labels` ``[B, C]`` with +1 in the unknown cells whose `quantity` is surely above it. Never a -1."""
        found = (labels == 0) & (quantity.detach() > self.value.detach() + self.above)
        return labels + found.to(labels.dtype)
