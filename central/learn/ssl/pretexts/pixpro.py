"""Places of two views that lie near each other in the frame look alike, each smoothed by places like it.

Xie et al., "Propagate yourself" (PixPro, CVPR 2021), on the cells of the neck. Where in the frame a cell lies, the maps
of the views tell; distances are in shares of the frame's sides, in units of the larger cell's diagonal.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.config import STRIDES
from central.learn.ssl import Needs, Pretext, PretextError, Scene, Shape
from central.learn.ssl.layers import BOTH_WAYS, Heads, pointwise


class Options(Heads, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of the heads, and what is near."""

    level: Annotated[int, Meta(ge=0, le=2)] = 1
    """Of the neck: strides 8, 16, 32."""
    near: Annotated[float, Meta(gt=0, le=10)] = 0.7
    """Cell diagonals."""
    sharpness: Annotated[float, Meta(gt=0, le=10)] = 2.0
    """Gamma: the power of the similarities by which places are smoothed."""


def places(maps: Tensor, height: int, width: int, stride: int) -> tuple[Tensor, Tensor]:
    """Return where cells lie in the frame, ``[B, height * width, 2]`` (x, y), and their diagonals ``[B]``; shares.

    `maps` ``[B, 2, 3]`` lead from shares of the frame to pixels of the view.
    """
    back = torch.linalg.inv(maps[:, :, :2])
    y, x = torch.meshgrid(
        torch.arange(height, device=maps.device), torch.arange(width, device=maps.device), indexing="ij"
    )
    pixels = (torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride
    away = pixels - maps[:, None, :, 2]
    centres = (away[:, :, None, :] * back[:, None]).sum(-1)  # no matrix product, which might be one of 16 bits
    return centres, stride * back.square().sum((1, 2)).sqrt()


def near(first: Tensor, second: Tensor, height: int, width: int, stride: int, limit: float) -> Tensor:
    """Return which cells of two views lie near each other: ``[B, N, N]`` bool, N = height * width."""
    a, wide = places(first, height, width, stride)
    b, tall = places(second, height, width, stride)
    return torch.cdist(a, b) < limit * torch.maximum(wide, tall)[:, None, None]


def agreement(smoothed: Tensor, keys: Tensor, pairs: Tensor) -> Tensor:
    """Return 2 - 2 cos of ``[B, N, D]`` and ``[B, M, D]``, meant over the `pairs` ``[B, N, M]`` of each image that has
    any, then over those images; 0..4, and 0 where none has."""
    cosine = F.normalize(smoothed, dim=2) @ F.normalize(keys.detach(), dim=2).transpose(1, 2)
    count = pairs.sum((1, 2))
    mean = (cosine * pairs).sum((1, 2)) / count.clamp_min(1)
    there = count > 0
    return ((2 - 2 * mean) * there).sum() / there.sum().clamp_min(1)


class PixPro(Pretext):
    """Both ways; only the student's places are smoothed."""

    name = "pixpro"
    needs = Needs(views=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.project = pointwise(shape.neck, options.hidden, options.out, norm=True)
        self.transform = nn.Conv2d(options.out, options.out, 1)

    def smooth(self, cells: Tensor) -> Tensor:
        """Return ``[B, h * w, D]``: for each place, what those like it have, by similarity."""
        rows = F.normalize(cells.flatten(2), dim=1)
        alike = (rows.transpose(1, 2) @ rows).clamp_min(0) ** self.options.sharpness
        return alike @ self.transform(cells).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the mean distance of near places over both directions, 0..4."""
        batch, level, parts = scene.batch, self.options.level, []
        if batch.first_map is None or batch.second_map is None:
            raise PretextError("the views of the batch do not say where in the frame they lie")
        height, width = scene.student("first").levels[level].shape[2:]
        pairs = near(batch.first_map, batch.second_map, height, width, STRIDES[level], self.options.near)
        for mine, other in BOTH_WAYS:
            smoothed = self.smooth(self.project(scene.student(mine).levels[level]))
            with torch.no_grad():
                keys = teacher.project(scene.teacher(other).levels[level]).flatten(2).transpose(1, 2)
            parts.append(agreement(smoothed, keys, pairs if mine == "first" else pairs.transpose(1, 2)))
        return (parts[0] + parts[1]) / 2


PRETEXT = PixPro
