"""The heads: separate modules that can be trained, frozen, updated and left out one by one.

Everything is a convolution, so that every exported weight keeps the name and shape it has here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.blocks import Block, Conv
from central.learn.models.config import BINS, STRIDES

PRIOR = 0.01
"""Initial class probability: keeps the first steps from being swamped by background (RetinaNet, section 4.1)."""


class DetectHead(nn.Module):
    """Per cell: class logits and a distribution over the distance to each box side (generalised focal loss).

    Levels ``[B, c, h, w]`` x 3 -> class logits ``[B, A, C]`` and side logits ``[B, A, 4, BINS]`` over all A cells.
    The trunk is shared between levels; the last layers and the batch norms of the trunk's input are not.
    """

    def __init__(self, channels: int, classes: int, blocks: int) -> None:
        super().__init__()
        self.trunk = nn.ModuleList(
            nn.Sequential(*(Block(channels, channels) for _ in range(blocks)), Conv(channels, channels))
            for _ in STRIDES
        )
        self.classes = nn.ModuleList(nn.Conv2d(channels, classes, 1) for _ in STRIDES)
        self.sides = nn.ModuleList(nn.Conv2d(channels, 4 * BINS, 1) for _ in STRIDES)
        for layer in self.classes:
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        scores, sides = [], []
        for level, trunk, classes, side in zip(levels, self.trunk, self.classes, self.sides, strict=True):
            x = trunk(level)
            # Channels last before flattening: in 8 bits that is how the convolution leaves them.
            scores.append(classes(x).permute(0, 2, 3, 1).flatten(1, 2))
            sides.append(side(x).permute(0, 2, 3, 1).flatten(1, 2))
        logits, distances = torch.cat(scores, 1), torch.cat(sides, 1)
        return logits, distances.reshape(*distances.shape[:2], 4, BINS)


class BlurHead(nn.Module):
    """Dense blur rank: stride-8 backbone features ``[B, c, h, w]`` -> ``[B, 1, h, w]``; higher is blurrier."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden = Conv(channels, 16)
        self.out = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.hidden(x))
        return out


class EmbeddingHead(nn.Module):
    """Frame embedding: stride-32 features ``[B, c, h, w]`` -> ``[B, D]`` of unit length."""

    def __init__(self, channels: int, dimension: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, dimension, 1)
        nn.init.orthogonal_(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.project(x.mean((2, 3), keepdim=True)).flatten(1), dim=1)


class TagHead(nn.Module):
    """Image-level tags: stride-32 features ``[B, c, h, w]`` -> logits ``[B, T]``; the strongest place counts."""

    def __init__(self, channels: int, tags: int) -> None:
        super().__init__()
        self.out = nn.Conv2d(channels, tags, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(x)
        return out.amax((2, 3))
