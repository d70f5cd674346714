"""Geometry of pictures, on tensors: what moves where when a camera or what it sees moves.

    flow, homography, projection -> places ``[B, H, W, 2]`` -> warp.sample -> photometric error, smoothness
    guard: what of all that can be learned from a stream at all
    ground: the order of depth without any camera motion

Pixels are (x, y) with the centre of the first one at (0, 0), as OpenCV counts. Pictures are float 0..1 unless said
otherwise. Everything is float32, whatever precision the trunk works in.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.nn import functional as F


def precise(like: Tensor) -> AbstractContextManager[None]:
    """Switch lower precision off on the device of `like`: a pixel of 1000 has no room for fractions in 16 bits."""
    return torch.autocast(like.device.type, enabled=False)


def by_clip(flat: Tensor, count: int) -> Tensor:
    """Return what was made of all frames ``[count * T, ...]`` clip by clip: ``[count, T, ...]``."""
    return flat.reshape(count, -1, *flat.shape[1:])


def coarser(cells: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return which cells of maps of `size` (h, w) hold any of `cells` ``[B, T, 1, H, W]`` bool: ``[B, T, 1, h, w]``."""
    return by_clip(F.adaptive_max_pool2d(cells.flatten(0, 1).float(), list(size)), len(cells)).bool()
