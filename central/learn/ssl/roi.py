"""What is in a box, on the level of the neck that fits it: RoIAlign, averaged."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from central.learn.models.config import STRIDES
from central.learn.models.roi import places

CELLS: Final = 4.0
"""A box is looked at on the finest level where its side is below twice so many cells."""


def level_of(boxes: Tensor) -> Tensor:
    """Return which level 0..2 each of `boxes` ``[..., 4]`` is looked at on, by its size."""
    side = ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])).clamp_min(1e-6).sqrt()
    return (side / (CELLS * STRIDES[0])).log2().floor().clamp(0, len(STRIDES) - 1).long()


def roi_means(levels: list[Tensor], boxes: Tensor, size: int = 5) -> Tensor:
    """Return the mean ``[B, K, C]`` over `size` x `size` places in each of `boxes` ``[B, K, 4]`` (xyxy, pixels).

    `levels` ``[B, C, H/s, W/s]`` are those of the neck; each box is looked at on the one that fits it.
    """
    count, most = boxes.shape[:2]
    own = level_of(boxes)
    spots = places(boxes.flatten(0, 1).float(), size, 1).reshape(count, most, size * size, 2)
    height, width = levels[0].shape[2] * STRIDES[0], levels[0].shape[3] * STRIDES[0]
    grid = spots * spots.new_tensor([2 / width, 2 / height]) - 1
    means = [F.grid_sample(x.float(), grid, align_corners=False, padding_mode="border").mean(3) for x in levels]
    chosen = torch.stack(means, 1).permute(0, 3, 1, 2)  # [B, K, levels, C]
    return chosen.gather(2, own[..., None, None].expand(-1, -1, 1, chosen.shape[3])).squeeze(2)
