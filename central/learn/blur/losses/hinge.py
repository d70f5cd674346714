"""The ranking hinge of Li et al., "Semi-supervised Ranking for Object Image Blur Assessment" (ICIP 2022).

max(0, d * delta + margin) on sigmoid scores; a pair that nobody can tell costs what it is further apart than that.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

MARGIN: Final = 0.08
"""Of sigmoid scores."""


class Hinge:
    """As the paper has it."""

    name = "hinge"

    def __call__(self, first: Tensor, second: Tensor, order: Tensor) -> Tensor:
        gap = second.sigmoid() - first.sigmoid()
        return torch.where(order == 0, F.relu(gap.abs() - MARGIN), F.relu(MARGIN - order * gap))


LOSS = Hinge()
