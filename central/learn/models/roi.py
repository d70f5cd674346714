"""What a map shows inside boxes: bilinear samples at fixed places, averaged in a grid of cells.

RoIAlign of He et al., "Mask R-CNN", ICCV 2017, section 3: nothing is rounded.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

SAMPLES: Final = 2
"""Per cell and axis, as in the paper."""


def places(boxes: Tensor, cells: int, samples: int = SAMPLES) -> Tensor:
    """Return the sampling places (x, y) ``[K, S, S, 2]`` in boxes ``[K, 4]`` xyxy, S = cells * samples."""
    steps = (torch.arange(cells * samples, device=boxes.device, dtype=boxes.dtype) + 0.5) / (cells * samples)
    x = boxes[:, 0:1] + (boxes[:, 2:3] - boxes[:, 0:1]) * steps
    y = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * steps
    count = len(steps)
    return torch.stack((x[:, None, :].expand(-1, count, -1), y[:, :, None].expand(-1, -1, count)), -1)


def roi_align(level: Tensor, boxes: Tensor, stride: float, cells: int) -> Tensor:
    """Return ``[K, c, cells, cells]`` of boxes ``[K, 4]`` (xyxy, input pixels) on the map ``[c, h, w]`` of one image.

    `stride` is the pixels per cell of the map; places beyond its border have the border's value.
    """
    height, width = level.shape[1:]
    if not len(boxes):
        return level.new_zeros(0, level.shape[0], cells, cells)
    grid = places(boxes.to(level.dtype), cells) / stride
    size = torch.tensor([width, height], dtype=level.dtype, device=level.device)
    grid = grid * 2 / size - 1
    count, side = grid.shape[:2]
    found = F.grid_sample(
        level[None], grid.reshape(1, count * side, side, 2), padding_mode="border", align_corners=False
    )
    return F.avg_pool2d(found[0].reshape(-1, count, side, side).transpose(0, 1), SAMPLES)
