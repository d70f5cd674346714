"""Fidelity (Tsai et al., SIGIR 2007) under Thurstone's model: 1 - sqrt(p q) - sqrt((1 - p)(1 - q)).

q = Phi(d / sqrt 2). Unlike cross entropy it is bounded, so one wrong answer cannot outweigh many right ones.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

TINY: Final = 1e-6
"""Keeps the gradient of the root finite."""


class Fidelity:
    """One minus the fidelity of the two distributions."""

    name = "fidelity"

    def __call__(self, first: Tensor, second: Tensor, order: Tensor) -> Tensor:
        wanted = (order + 1) / 2
        given = torch.special.ndtr((second - first) / 2**0.5).clamp(TINY, 1 - TINY)
        cost: Tensor = 1 - (wanted * given + TINY).sqrt() - ((1 - wanted) * (1 - given) + TINY).sqrt()
        return cost


LOSS = Fidelity()
