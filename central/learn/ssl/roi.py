"""RoIAlign (He et al., Mask R-CNN, ICCV 2017) in plain torch, on the level that fits each box."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from central.learn.models.config import STRIDES

CELLS: Final = 4.0
"""A box is looked at on the finest level where its side is below twice so many cells."""


def roi_align(level: Tensor, boxes: Tensor, stride: float, size: int = 7, samples: int = 1) -> Tensor:
    """Return ``[B, K, C, size, size]``: what `level` ``[B, C, h, w]`` shows in `boxes` ``[B, K, 4]`` (xyxy, pixels).

    Each bin is the mean of `samples` x `samples` points, read bilinearly; pixels are counted from the edge, so the
    middle of cell i is at (i + 0.5) * `stride`.
    """
    count = size * samples
    steps = (torch.arange(count, device=boxes.device, dtype=boxes.dtype) + 0.5) / count
    low, span = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
    x = low[..., :1] + span[..., :1] * steps  # [B, K, count]
    y = low[..., 1:] + span[..., 1:] * steps
    height, width = level.shape[2] * stride, level.shape[3] * stride
    across = (2 * x / width - 1).unsqueeze(2).expand(-1, -1, count, -1)
    down = (2 * y / height - 1).unsqueeze(3).expand(-1, -1, -1, count)
    grid = torch.stack((across, down), -1).flatten(2, 3).to(level.dtype)  # [B, K, count ** 2, 2]
    found = F.grid_sample(level, grid, align_corners=False, padding_mode="border")
    bins = found.reshape(*found.shape[:3], size, samples, size, samples).mean((4, 6))
    return bins.transpose(1, 2)


def level_of(boxes: Tensor) -> Tensor:
    """Return which level 0..2 each of `boxes` ``[..., 4]`` is looked at on, by its size."""
    side = ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])).clamp_min(1e-6).sqrt()
    return (side / (CELLS * STRIDES[0])).log2().floor().clamp(0, len(STRIDES) - 1).long()


def roi_means(levels: list[Tensor], boxes: Tensor, size: int = 5) -> Tensor:
    """Return the mean ``[B, K, C]`` of each of `boxes` ``[B, K, 4]`` on the level of `levels` that fits it."""
    own = level_of(boxes)
    means = [roi_align(level, boxes, s, size).mean((3, 4)) for level, s in zip(levels, STRIDES, strict=True)]
    chosen = torch.stack(means, 2)  # [B, K, levels, C]
    return chosen.gather(2, own[..., None, None].expand(-1, -1, 1, chosen.shape[3])).squeeze(2)
