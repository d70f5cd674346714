"""The backbone: five halvings, features at strides 8, 16 and 32."""

from __future__ import annotations

from torch import Tensor, nn

from central.learn.models.blocks import Block, Conv
from central.learn.models.config import Size


class Backbone(nn.Module):
    """``[B, 3, H, W]`` normalised -> features at strides 8, 16, 32 with ``size.widths[1:]`` channels."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.stem = Conv(3, size.stem, 3, 2) if size.stem else nn.Identity()
        stages, channels = [], size.stem or 3
        for i, (width, depth) in enumerate(zip(size.widths, size.depths, strict=True)):
            down = Conv(channels, width, 3, 2) if i or size.stem else Conv(channels, width, 7, 4)
            stages.append(nn.Sequential(down, *(Block(width, width) for _ in range(depth))))
            channels = width
        self.stages = nn.ModuleList(stages)

    def shallow(self, x: Tensor) -> Tensor:
        """Return the features at stride 8 alone, at a fraction of the whole's cost."""
        x = self.stem(x)
        for stage in list(self.stages)[:2]:
            x = stage(x)
        return x

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[1:]
