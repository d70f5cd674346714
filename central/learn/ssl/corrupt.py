"""What cameras and links do to frames, on batches of images ``[B, 3, H, W]``, RGB 0..255 as floats."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

LUMA: Final = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in brightness (ITU-R BT.601, as JPEG has it)."""
COVER: Final = 114.0
"""What covered places are filled with: the colour of padding, which is 0 to the backbone."""
TABLE: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
"""Steps of luminance at quality 50 (ITU-T T.81, table K.1); colour gets the same, which spares it."""


def to_ycc(images: Tensor) -> Tensor:
    """Return brightness 0..255 and the chroma Cb and Cr, -128..128, of RGB 0..255: ``[B, 3, H, W]``."""
    red, green, blue = images.float().unbind(1)
    y = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return torch.stack((y, (blue - y) / (2 - 2 * LUMA[2]), (red - y) / (2 - 2 * LUMA[0])), 1)


def to_rgb(images: Tensor) -> Tensor:
    """Return RGB of what `to_ycc` gives."""
    y, cb, cr = images.unbind(1)
    red, blue = y + cr * (2 - 2 * LUMA[0]), y + cb * (2 - 2 * LUMA[2])
    return torch.stack((red, (y - LUMA[0] * red - LUMA[2] * blue) / LUMA[1], blue), 1)


def grey(images: Tensor) -> Tensor:
    """Return `images` without colour: ``[B, 3, H, W]``."""
    return to_ycc(images)[:, :1].expand(-1, 3, -1, -1)


def noisy(images: Tensor, most: float, random: torch.Generator) -> Tensor:
    """Return `images` with Gaussian noise of a deviation of 0 to `most` pixel steps, drawn per image; not cut off."""
    deviation = torch.rand(len(images), 1, 1, 1, generator=random, device=images.device) * most
    return images + torch.randn(images.shape, generator=random, device=images.device) * deviation


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Return `images` as JPEG of `quality` ``[B]``, 1..100, would give them back, colour at full resolution.

    Height and width are multiples of 8. Blocks of 8 x 8 are rounded in the cosine domain (ITU-T T.81, annexes A and K).
    """
    b, c, h, w = images.shape
    n = torch.arange(8, device=images.device, dtype=torch.float32)
    basis = torch.cos((2 * n + 1) * n[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    scale = torch.where(quality < 50, 50 / quality, (100 - quality) / 50).clamp_min(0.01)
    steps = (torch.tensor(TABLE, device=images.device) * scale[:, None, None]).clamp_min(1)[:, None, None, None]
    ycc = to_ycc(images.clamp(0, 255)) - torch.tensor((128.0, 0, 0), device=images.device)[:, None, None]
    blocks = ycc.reshape(b, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    with torch.autocast(images.device.type, enabled=False):
        kept = ((basis @ blocks @ basis.T) / steps).round() * steps
        back = (basis.T @ kept @ basis).transpose(3, 4).reshape(b, c, h, w)
    return to_rgb(back + torch.tensor((128.0, 0, 0), device=images.device)[:, None, None]).clamp(0, 255)
