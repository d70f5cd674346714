"""Little layers that pretexts share: heads, a decoder back to pixels, a queue of earlier samples, and luck."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, distributed, nn
from torch.nn import functional as F

BOTH_WAYS: Final[tuple[tuple[Literal["first", "second"], Literal["first", "second"]], ...]] = (
    ("first", "second"),
    ("second", "first"),
)
"""The view that learns, and the one that it learns from."""


class Heads(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of a pretext's heads, as small networks take them."""

    hidden: Annotated[int, Meta(ge=8, le=8192)] = 512
    out: Annotated[int, Meta(ge=8, le=65536)] = 128


def mlp(inputs: int, hidden: int, out: int, norm: bool = False) -> nn.Sequential:
    """Return a head of two layers with a batch norm between them: ``[B, inputs]`` -> ``[B, out]``.

    With `norm`, one without weights follows, as in SimSiam and MoCo v3.
    """
    layers = [nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out)]
    return nn.Sequential(*layers, *([nn.BatchNorm1d(out, affine=False)] if norm else []))


def pointwise(inputs: int, hidden: int, out: int, norm: bool = False) -> nn.Sequential:
    """Return a head that does the same at every place: ``[B, inputs, h, w]`` -> ``[B, out, h, w]``.

    With `norm`, one without weights follows: what all places have in common is taken off.
    """
    layers = [nn.Conv2d(inputs, hidden, 1), nn.BatchNorm2d(hidden), nn.ReLU(), nn.Conv2d(hidden, out, 1)]
    return nn.Sequential(*layers, *([nn.BatchNorm2d(out, affine=False)] if norm else []))


def distance(prediction: Tensor, target: Tensor) -> Tensor:
    """Return 2 - 2 cos of each row, ``[N]`` 0..4; no gradient flows into `target`."""
    return 2 - 2 * F.cosine_similarity(prediction, target.detach(), dim=-1)


def pooled(features: list[Tensor]) -> Tensor:
    """Return the mean ``[B, C]`` of the deepest of `features`."""
    return features[-1].mean((2, 3))


class Decoder(nn.Module):
    """Back to the size of the image: levels ``[B, c_i, H/s, W/s]``, s = 8, 16, 32 -> ``[B, out, H, W]``.

    From coarse to fine by addition; `hidden` channels at stride 32, half as many at 16, a quarter at 8, where every
    pixel of a cell is a channel of the last layer.
    """

    def __init__(self, channels: tuple[int, int, int], hidden: int = 128, out: int = 3) -> None:
        super().__init__()
        widths = [hidden // 4, hidden // 2, hidden]
        self.enter = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(channels, widths, strict=True))
        self.mix = nn.ModuleList(
            nn.Sequential(nn.Conv2d(w, n, 3, padding=1, bias=False), nn.BatchNorm2d(n), nn.ReLU())
            for w, n in zip(widths, [widths[0], *widths[:2]], strict=True)
        )
        self.out = nn.Conv2d(widths[0], out * 64, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        x: Tensor | None = None
        for level, enter, mix in reversed(list(zip(levels, self.enter, self.mix, strict=True))):
            entered = enter(level)
            x = mix(entered if x is None else entered + F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return F.pixel_shuffle(self.out(x), 8)


class Queue(nn.Module):
    """The newest `length` keys ``[D]`` of unit length and the frames that they come from; at first, noise of none."""

    keys: Tensor
    frames: Tensor
    place: Tensor

    def __init__(self, length: int, dimension: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(length, dimension), dim=1))
        self.register_buffer("frames", torch.full((length,), -1, dtype=torch.long))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor, frames: Tensor) -> None:
        """Replace the oldest by `keys` ``[B, D]`` of `frames` ``[B]``, and by those of all other processes."""
        keys, frames = gathered(keys), gathered(frames)
        keys, frames = keys[-len(self.keys) :], frames[-len(self.keys) :]
        at = (int(self.place) + torch.arange(len(keys), device=self.keys.device)) % len(self.keys)
        self.keys[at], self.frames[at] = keys.to(self.keys), frames.to(self.frames)
        self.place.fill_((int(self.place) + len(keys)) % len(self.keys))


def gathered(rows: Tensor) -> Tensor:
    """Return `rows` of all processes, one below the other, without gradients; alone, `rows` themselves."""
    rows = rows.detach()
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def luck(random: torch.Generator, device: torch.device) -> torch.Generator:
    """Return a generator on `device` that is seeded by the next draw of `random`."""
    seed = int(torch.randint(2**31, (), generator=random))
    return torch.Generator(device).manual_seed(seed)
