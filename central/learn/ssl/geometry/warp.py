"""Pictures looked up at other places: bilinear, with the border continued."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def grid(height: int, width: int, like: Tensor) -> Tensor:
    """Return the pixels ``[height, width, 2]`` (x, y), float32, on the device of `like`."""
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=torch.float32),
        torch.arange(width, device=like.device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack((x, y), -1)


def sample(image: Tensor, places: Tensor) -> Tensor:
    """Return `image` ``[B, C, h, w]`` at `places` ``[B, H, W, 2]`` (x, y) in its pixels: ``[B, C, H, W]``."""
    height, width = image.shape[-2:]
    scale = places.new_tensor((2 / max(1, width - 1), 2 / max(1, height - 1)))
    return F.grid_sample(image.float(), places * scale - 1, "bilinear", "border", align_corners=True)


def inside(places: Tensor, height: int, width: int) -> Tensor:
    """Return which of `places` ``[B, H, W, 2]`` lie in a picture of that size: bool ``[B, 1, H, W]``."""
    x, y = places.unbind(-1)
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))[:, None]


def flowed(flow: Tensor) -> Tensor:
    """Return where each pixel goes by `flow` ``[B, 2, H, W]`` (x, y) in pixels: places ``[B, H, W, 2]``."""
    return grid(flow.shape[2], flow.shape[3], flow) + flow.permute(0, 2, 3, 1)


def transformed(homography: Tensor, height: int, width: int) -> Tensor:
    """Return where `homography` ``[B, 3, 3]`` takes each pixel of a picture: places ``[B, H, W, 2]``."""
    points = grid(height, width, homography).reshape(1, -1, 2).expand(len(homography), -1, -1)
    return moved(homography, points).reshape(len(homography), height, width, 2)


def moved(homography: Tensor, points: Tensor) -> Tensor:
    """Return `points` ``[B, N, 2]`` as `homography` ``[B, 3, 3]`` takes them."""
    whole = torch.cat((points, torch.ones_like(points[..., :1])), -1) @ homography.transpose(1, 2)
    return whole[..., :2] / whole[..., 2:].clamp_min(1e-6)
