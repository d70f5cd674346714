"""From pixels to points in space and back: p_s ~ K T D(p) K^-1 p (Zhou et al., CVPR 2017, equation 2)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from central.learn.ssl.geometry import warp

NEAREST: Final = 1e-3
"""Depth below which a point counts as behind the camera, in the unit of the depth."""


def intrinsics(focal: Tensor, height: int, width: int) -> Tensor:
    """Return K ``[B, 3, 3]`` of cameras with `focal` ``[B]`` in pixels and the centre of the picture as their axis."""
    k = torch.zeros(len(focal), 3, 3, device=focal.device)
    k[:, 0, 0] = k[:, 1, 1] = 1
    k = k * focal.float()[:, None, None]
    k[:, 0, 2], k[:, 1, 2], k[:, 2, 2] = (width - 1) / 2, (height - 1) / 2, 1
    return k


def rotation(turn: Tensor) -> Tensor:
    """Return the rotations ``[B, 3, 3]`` about the axes `turn` ``[B, 3]`` by their length in radians (Rodrigues)."""
    angle = (turn.square().sum(-1) + 1e-20).sqrt()[:, None, None]
    x, y, z = turn.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(-1, 3, 3)
    sine = torch.where(angle < 1e-4, 1 - angle**2 / 6, angle.sin() / angle)
    cosine = torch.where(angle < 1e-4, 0.5 - angle**2 / 24, (1 - angle.cos()) / angle**2)
    return torch.eye(3, device=turn.device) + sine * cross + cosine * cross @ cross


def motion(vector: Tensor) -> Tensor:
    """Return T ``[B, 3, 4]`` of `vector` ``[B, 6]``: axis times angle in radians, then the translation."""
    return torch.cat((rotation(vector[:, :3]), vector[:, 3:, None]), -1)


def lifted(depth: Tensor, k: Tensor) -> Tensor:
    """Return the points ``[B, 3, H, W]`` (right, down, away) that lie at `depth` ``[B, 1, H, W]`` along the axis."""
    height, width = depth.shape[2:]
    pixels = warp.grid(height, width, depth).permute(2, 0, 1)[None]
    rays = torch.cat((pixels, torch.ones_like(pixels[:, :1])), 1).flatten(2)
    along: Tensor = (torch.linalg.inv(k) @ rays).reshape(-1, 3, height, width)
    return along * depth


def projected(points: Tensor, k: Tensor, transform: Tensor) -> tuple[Tensor, Tensor]:
    """Return places ``[B, H, W, 2]`` and depth ``[B, 1, H, W]`` of `points` ``[B, 3, H, W]`` after `transform`."""
    batch, _, height, width = points.shape
    there = transform[:, :, :3] @ points.flatten(2) + transform[:, :, 3:]
    depth = there[:, 2:].clamp_min(NEAREST)
    places = (k @ there)[:, :2] / depth
    return places.transpose(1, 2).reshape(batch, height, width, 2), depth.reshape(batch, 1, height, width)


def seen_from(source: Tensor, depth: Tensor, k: Tensor, transform: Tensor) -> tuple[Tensor, Tensor]:
    """Return the target view rebuilt from `source` ``[B, C, H, W]``, and which of its pixels lie in the source's view.

    `depth` ``[B, 1, H, W]`` is the target's; `transform` ``[B, 3, 4]`` takes points from the target's camera to the
    source's.
    """
    places, _ = projected(lifted(depth.float(), k), k, transform)
    return warp.sample(source, places), warp.inside(places, *source.shape[2:])
