"""Disparity, the inverse of depth, decoded from the neck's levels at four scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.blocks import Conv


class Decoder(nn.Module):
    """Levels ``[B, channels, H/s, W/s]`` at strides 8, 16, 32 and the picture -> sigmoids, finest first.

    ``[B, 1, H/s, W/s]``, 0..1, at strides 4, 8, 16, 32: a convolution per level, and a step finer with the edges of
    the picture beside it.
    """

    def __init__(self, channels: int, hidden: int = 32) -> None:
        super().__init__()
        self.enter = nn.ModuleList(Conv(channels, hidden, 3) for _ in range(3))
        self.down = nn.ModuleList(Conv(2 * hidden, hidden, 3) for _ in range(2))
        self.edges = Conv(3, 16, 5, 4)
        self.fine = Conv(hidden + 16, hidden, 3)
        self.outs = nn.ModuleList(nn.Conv2d(hidden, 1, 3, padding=1) for _ in range(4))

    def forward(self, levels: list[Tensor], image: Tensor) -> list[Tensor]:
        """`image` ``[B, 3, H, W]`` 0..1."""
        maps = [enter(level) for enter, level in zip(self.enter, levels, strict=True)]
        for i in (1, 0):
            up = F.interpolate(maps[i + 1], size=maps[i].shape[2:], mode="nearest")
            maps[i] = self.down[i](torch.cat((maps[i], up), 1))
        edges = self.edges(image)
        up = F.interpolate(maps[0], size=edges.shape[2:], mode="bilinear", align_corners=False)
        maps.insert(0, self.fine(torch.cat((up, edges), 1)))
        return [torch.sigmoid(out(m).float()) for out, m in zip(self.outs, maps, strict=True)]


def enlarged(disparities: list[Tensor], height: int, width: int) -> list[Tensor]:
    """Return all scales at the size of the picture, where errors are taken: small ones leave holes otherwise."""
    return [F.interpolate(d, size=(height, width), mode="bilinear", align_corners=False) for d in disparities]


def depth(sigmoid: Tensor, near: float, far: float) -> Tensor:
    """Return the depth between `near` and `far` of a sigmoid 0..1 that is linear in its inverse."""
    return 1 / (1 / far + (1 / near - 1 / far) * sigmoid)
