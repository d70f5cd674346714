"""Features of two pictures compared: what each cell of one is like among the neighbours of its place in the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.blocks import Block, Conv


def correlation(a: Tensor, b: Tensor, radius: int) -> Tensor:
    """Return the cosine of each cell of `a` ``[B, C, h, w]`` with those of `b` up to `radius` cells away.

    ``[B, (2 radius + 1)^2, h, w]``, rows first: channel k is the shift (k % side - radius, k // side - radius).
    """
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    height, width = a.shape[2:]
    wide = F.pad(b, (radius,) * 4)
    side = range(2 * radius + 1)
    found = [(a * wide[:, :, y : y + height, x : x + width]).sum(1) for y in side for x in side]
    return torch.stack(found, 1)


class Matcher(nn.Module):
    """Two maps ``[B, channels, h, w]`` -> ``[B, out, h, w]``: their correlation and themselves, through two blocks."""

    def __init__(self, channels: int, out: int, radius: int = 4, hidden: int = 64, reduced: int = 32) -> None:
        super().__init__()
        self.radius = radius
        self.reduce = Conv(channels, reduced)
        self.enter = Conv((2 * radius + 1) ** 2 + 2 * reduced, hidden)
        self.blocks = nn.Sequential(Block(hidden, hidden), Block(hidden, hidden))
        self.out = nn.Conv2d(hidden, out, 3, padding=1)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.out.weight, std=1e-3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = self.reduce(torch.cat((a, b))).chunk(2)
        both = torch.cat((correlation(a, b, self.radius), a, b), 1)
        out: Tensor = self.out(self.blocks(self.enter(both)))
        return out
