"""A backbone that sees only part of an image, as a sparse network would: what is hidden reaches nothing that is seen.

Tian et al., "Designing BERT for convolutional networks" (SparK, ICLR 2023): after every convolution the features are
multiplied by the mask at their size, and batch norms look at visible places alone. The backbone itself is not changed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.backbone import Backbone
from central.learn.models.blocks import Block, Conv


def draw(batch: int, height: int, width: int, hidden: float, random: torch.Generator) -> Tensor:
    """Return which cells are visible, ``[batch, 1, height, width]`` bool: in each all but the share `hidden`."""
    cells = height * width
    count = min(cells - 1, max(1, round(cells * (1 - hidden)))) if cells > 1 else 1
    order = torch.rand(batch, cells, generator=random, device=random.device).argsort(1).argsort(1)
    return (order < count).reshape(batch, 1, height, width)


def fitted(visible: Tensor, x: Tensor) -> Tensor:
    """Return the cells `visible` ``[B, 1, h, w]`` at the size of `x` ``[B, C, H, W]``, in its type."""
    return F.interpolate(visible.to(x), size=x.shape[2:], mode="nearest")


def norm(layer: nn.BatchNorm2d, x: Tensor, mask: Tensor) -> Tensor:
    """Return `x` ``[B, C, H, W]`` after the batch norm `layer`, 0 where `mask` ``[B, 1, H, W]`` is 0.

    While it learns, mean and variance are those of the other places, and running ones follow them.
    """
    if not layer.training or layer.running_mean is None or layer.running_var is None:
        return layer(x) * mask  # type: ignore[no-any-return]
    x, mask = x.float(), mask.float()
    count = mask.sum().clamp_min(1)
    mean = (x * mask).sum((0, 2, 3)) / count
    centred = (x - mean[:, None, None]) * mask
    variance = centred.square().sum((0, 2, 3)) / count
    with torch.no_grad():
        pace = 0.1 if layer.momentum is None else layer.momentum
        layer.running_mean.lerp_(mean.to(layer.running_mean), pace)
        layer.running_var.lerp_((variance * count / (count - 1).clamp_min(1)).to(layer.running_var), pace)
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked += 1
    out = centred * (variance + layer.eps).rsqrt()[:, None, None]
    if layer.affine:
        out = (out * layer.weight[:, None, None] + layer.bias[:, None, None]) * mask
    return out


def conv(layer: Conv, x: Tensor, visible: Tensor) -> Tensor:
    """Return what `layer` makes of the `visible` cells of `x`; 0 elsewhere."""
    y = layer.conv(x)
    mask = fitted(visible, y)
    return layer.act(norm(layer.norm, y * mask, mask)) * mask  # type: ignore[no-any-return]


def block(layer: Block, x: Tensor, visible: Tensor) -> Tensor:
    """Return what `layer` makes of the `visible` cells of `x`; 0 elsewhere."""
    y = x
    for part in (layer.mix, layer.expand, layer.project):
        y = conv(part, y, visible)
    return x + y if layer.residual else y


def features(backbone: Backbone, x: Tensor, visible: Tensor) -> list[Tensor]:
    """Return the features of `backbone` at strides 8, 16 and 32 of the `visible` cells of images ``[B, 3, H, W]``.

    `visible` is ``[B, 1, H/32, W/32]``; hidden places are 0, and what `x` has there changes nothing.
    """
    x = x * fitted(visible, x)
    if isinstance(backbone.stem, Conv):
        x = conv(backbone.stem, x, visible)
    found = []
    for stage in backbone.stages:
        for layer in stage:  # type: ignore[attr-defined]
            x = conv(layer, x, visible) if isinstance(layer, Conv) else block(layer, x, visible)
        found.append(x)
    return found[1:]
