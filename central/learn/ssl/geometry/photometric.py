"""How unlike two pictures are, pixel by pixel, and over several of which each may be hidden in one.

The structural similarity of Wang et al. (TIP 2004) in windows of 3 x 3, mixed with the absolute difference as Godard et
al. (CVPR 2017, equation 2) do.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

ALPHA: Final = 0.85
"""Share of structure in the error; the rest is the absolute difference."""
C1: Final = 0.01**2
C2: Final = 0.03**2
NOISE: Final = 0.03
"""Error between two frames of a scene in which nothing moves: sensor and codec leave 0.01 to 0.03."""


def structure(a: Tensor, b: Tensor) -> Tensor:
    """Return (1 - SSIM) / 2 of `a` and `b` ``[B, C, H, W]``, in 0..1, mean over channels: ``[B, 1, H, W]``."""

    def mean(image: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), 3, 1)

    mean_a, mean_b = mean(a), mean(b)
    spread_a, spread_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    together = mean(a * b) - mean_a * mean_b
    over = (2 * mean_a * mean_b + C1) * (2 * together + C2)
    under = (mean_a**2 + mean_b**2 + C1) * (spread_a + spread_b + C2)
    return ((1 - over / under) / 2).clamp(0, 1).mean(1, keepdim=True)


def error(a: Tensor, b: Tensor, alpha: float = ALPHA) -> Tensor:
    """Return the photometric error of `a` and `b` ``[B, C, H, W]``, 0..1: ``[B, 1, H, W]``."""
    return alpha * structure(a, b) + (1 - alpha) * (a - b).abs().mean(1, keepdim=True)


def mean_of(errors: list[Tensor]) -> Tensor:
    """Return the mean error over all sources ``[B, 1, H, W]``: ``[B, 1, H, W]``."""
    return torch.stack(errors).mean(0)


def least_of(errors: list[Tensor]) -> Tensor:
    """Return the least error of each pixel over all sources: what one of them hides, another may show."""
    return torch.stack(errors).amin(0)


def unmoved(target: Tensor, source: Tensor, alpha: float = ALPHA) -> Tensor:
    """Return how well `source` explains `target` as it is or softened, ``[B, 1, H, W]``.

    Softened too, because looking a picture up between its pixels takes noise away, and that alone must not count as
    motion.
    """
    soft = F.avg_pool2d(F.pad(source, (1, 1, 1, 1), mode="reflect"), 3, 1)
    return torch.minimum(error(source, target, alpha), error(soft, target, alpha))


def kept(warped: Tensor, still: Tensor) -> Tensor:
    """Return where `warped` explains a pixel better than pictures left as they are, `still`: bool ``[B, 1, H, W]``.

    What does not move against the camera, and pictures of a camera that does not move, are explained by `still`: up to
    the noise, or as well as by `warped`.
    """
    return (warped < still - 1e-5) & (still > NOISE)


def ternary(image: Tensor) -> Tensor:
    """Return the census of `image` ``[B, 3, H, W]``: 8 neighbours against the middle, ``[B, 8, H, W]`` in -1..1.

    As in UnFlow (Meister et al., AAAI 2018): t = d / sqrt(0.81 + d^2) of grey levels 0..255, blind to brightness.
    """
    grey = (image * image.new_tensor((0.299, 0.587, 0.114))[None, :, None, None]).sum(1, keepdim=True) * 255
    height, width = grey.shape[2:]
    around = F.unfold(F.pad(grey, (1, 1, 1, 1), mode="replicate"), 3).reshape(len(grey), 9, height, width)
    away = torch.cat((around[:, :4], around[:, 5:]), 1) - grey
    return away / (0.81 + away**2).sqrt()


def census(a: Tensor, b: Tensor) -> Tensor:
    """Return the soft Hamming distance of the census of `a` and `b` ``[B, 3, H, W]``, 0..1: ``[B, 1, H, W]``."""
    apart = (ternary(a) - ternary(b)) ** 2
    return (apart / (0.1 + apart)).mean(1, keepdim=True)
