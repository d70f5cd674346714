"""A threshold that learns from which value on a quantity means that a tag is present."""

from __future__ import annotations

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
    """Differentiable threshold (HST, DTL), one scalar."""

    def __init__(self, start: float = START, lowest: float = LOWEST) -> None:
        super().__init__()
        self.lowest = lowest
        self.value = nn.Parameter(torch.tensor(start))

    def loss(self, quantity: Tensor, labels: Tensor) -> Tensor:
        """Return its loss on the known cells of `quantity` ``[B, C]``."""
        return threshold_loss(quantity, self.value, labels, SHARPNESS)

    @torch.no_grad()
    def settle(self) -> None:
        """Bring it back into its range after a step."""
        self.value.clamp_(self.lowest, HIGHEST)

    def emit(self, quantity: Tensor, labels: Tensor) -> Tensor:
        """Return `labels` ``[B, C]`` with +1 in the unknown cells whose `quantity` is above it. Never a -1."""
        found = (labels == 0) & (quantity.detach() > self.value.detach())
        return labels + found.to(labels.dtype)
