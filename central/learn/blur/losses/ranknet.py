"""RankNet (Burges et al., ICML 2005), which is Bradley-Terry: -log sigma(d). No margin, no saturation."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


class RankNet:
    """Cross entropy of who is blurrier; one half where nobody can tell."""

    name = "ranknet"

    def __call__(self, first: Tensor, second: Tensor, order: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(second - first, (order + 1) / 2, reduction="none")


LOSS = RankNet()
