"""Building blocks. Batch norms stay separate nodes through export, so that an update may touch only them."""

from __future__ import annotations

from torch import Tensor, nn


class Conv(nn.Module):
    """Convolution, batch norm and, unless `act` is False, ReLU. ``[B, i, H, W] -> [B, o, H/stride, W/stride]``."""

    def __init__(self, i: int, o: int, k: int = 1, stride: int = 1, groups: int = 1, act: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(o)
        self.act = nn.ReLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out


class Block(nn.Module):
    """Large-kernel depthwise mixing, then an inverted bottleneck: ``dw k x k -> 1x1 expand -> ReLU -> 1x1 project``.

    The order of ConvNeXt (Liu et al., CVPR 2022), with batch norm and ReLU because both fold and quantise well.
    Residual where shapes allow.
    """

    def __init__(self, i: int, o: int, k: int = 5, stride: int = 1, expand: int = 2) -> None:
        super().__init__()
        self.mix = Conv(i, i, k, stride, groups=i, act=False)
        self.expand = Conv(i, i * expand)
        self.project = Conv(i * expand, o, act=False)
        self.residual = i == o and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.expand(self.mix(x)))
        return x + out if self.residual else out
