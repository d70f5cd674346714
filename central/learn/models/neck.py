"""The neck: top-down, then bottom-up fusion by addition (a light path aggregation network)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.blocks import Block, Conv


class Neck(nn.Module):
    """Features of three levels -> three levels of `channels` each. Addition, not concatenation: it costs nothing."""

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(Conv(w, channels, act=False) for w in widths)
        self.top_down = nn.ModuleList(Block(channels, channels) for _ in widths[:-1])
        self.bottom_up = nn.ModuleList(Conv(channels, channels, 5, 2, groups=channels, act=False) for _ in widths[:-1])
        self.out = nn.ModuleList(Block(channels, channels) for _ in widths[1:])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        levels = [lateral(f) for lateral, f in zip(self.lateral, features, strict=True)]
        for i in reversed(range(len(levels) - 1)):
            up = F.interpolate(levels[i + 1], scale_factor=2.0, mode="nearest")
            levels[i] = self.top_down[i](levels[i] + up)
        for i in range(len(levels) - 1):
            levels[i + 1] = self.out[i](levels[i + 1] + self.bottom_up[i](levels[i]))
        return levels
