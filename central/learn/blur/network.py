"""The tile model: one small network for native-resolution tiles, whatever the size of the frame.

Blur lives in the highest frequencies, which are gone where a frame is made smaller to fit the detector. So this one
looks at tiles as they are: two convolutions before the first stride of more than two, mean and maximum over places, one
number. Normalisation is inside, so that neither light nor contrast tells.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

WIDTHS: Final = (12, 24, 40, 64)
"""Channels of the stages; 38,000 weights together."""
FLOOR: Final = 3.0
"""Grey levels added to a tile's contrast, so that emptiness is not all noise."""


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


class TileNetwork(nn.Module):
    """Grey tiles ``[N, 1, TILE, TILE]``, 0..255 (uint8 or float) -> blur ``[N]``, 0..1; higher is blurrier."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        steps = zip((1, *widths[:-1]), widths, strict=True)
        self.stages = nn.Sequential(*(_stage(a, b, 1 if i == 0 else 2) for i, (a, b) in enumerate(steps)))
        self.hidden = nn.Conv2d(2 * widths[-1] + 1, 24, 1)
        self.out = nn.Conv2d(24, 1, 1)

    def logits(self, tiles: Tensor) -> Tensor:
        """Return the score ``[N]`` before the sigmoid."""
        x = tiles.float()
        x = x - x.mean((2, 3), keepdim=True)
        contrast = (x * x).mean((2, 3), keepdim=True).sqrt()
        x = self.stages(x / (contrast + FLOOR))
        light = (contrast + 1.0).log() - 2.5
        pooled = torch.cat((x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True), light), 1)
        out: Tensor = self.out(torch.relu(self.hidden(pooled)))
        return out.flatten()

    def forward(self, tiles: Tensor) -> Tensor:
        return self.logits(tiles).sigmoid()
