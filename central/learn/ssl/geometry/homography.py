"""Plane motions of a whole picture: shake, pan, tilt, zoom, and the fit of one to many small motions.

A homography H takes pixels (x, y) of a picture to those of another: (x', y', 1) ~ H (x, y, 1).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from central.learn.ssl.geometry import warp

Kind = Literal["similarity", "homography"]


def corners(height: int, width: int, like: Tensor) -> Tensor:
    """Return the corner pixels ``[4, 2]`` of a picture, clockwise from the upper left."""
    right, low = float(width - 1), float(height - 1)
    return torch.tensor(((0.0, 0.0), (right, 0.0), (right, low), (0.0, low)), device=like.device)


def corner_error(one: Tensor, other: Tensor, height: int, width: int) -> Tensor:
    """Return by how many pixels two homographies ``[B, 3, 3]`` differ at the corners, on the mean: ``[B]``."""
    points = corners(height, width, one)[None].expand(len(one), -1, -1)
    apart: Tensor = (warp.moved(one, points) - warp.moved(other, points)).norm(dim=-1).mean(1)
    return apart


def similarity(shift: Tensor, angle: Tensor, zoom: Tensor, height: int, width: int) -> Tensor:
    """Return H ``[B, 3, 3]`` that turns by `angle` ``[B]`` radians and zooms about the middle, then shifts."""
    x, y = (width - 1) / 2, (height - 1) / 2
    a, b = zoom * angle.cos(), zoom * angle.sin()
    h = torch.zeros(len(angle), 3, 3, device=angle.device)
    h[:, 0, 0], h[:, 0, 1], h[:, 1, 0], h[:, 1, 1], h[:, 2, 2] = a, -b, b, a, 1
    h[:, 0, 2] = x - a * x + b * y + shift[:, 0]
    h[:, 1, 2] = y - b * x - a * y + shift[:, 1]
    return h


def _conditioning(points: Tensor) -> Tensor:
    """Return the transform ``[3, 3]`` of all `points` ``[B, N, 2]`` to about -1..1 (Hartley): least squares need it."""
    middle = points.mean((0, 1))
    scale = 1 / (points - middle).abs().amax().clamp_min(1e-6)
    t = torch.eye(3, device=points.device) * scale
    t[:2, 2], t[2, 2] = -middle * scale, 1
    return t


def fit(points: Tensor, targets: Tensor, weights: Tensor, kind: Kind = "similarity") -> Tensor:
    """Return the H ``[B, 3, 3]`` that takes `points` to `targets` ``[B, N, 2]`` best, by weighted least squares.

    `weights` ``[B, N]`` >= 0. A similarity has 4 unknowns; a homography 8, of which h33 = 1 in conditioned coordinates.
    Differentiable in targets and weights; a whisper of ridge keeps it finite where the points do not determine it.
    """
    before = _conditioning(points)
    p = (points - points.mean((0, 1))) * before[0, 0]
    q = (targets - points.mean((0, 1))) * before[0, 0]
    x, y = p.unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    if kind == "similarity":
        rows = torch.stack((torch.stack((x, -y, one, zero), -1), torch.stack((y, x, zero, one), -1)), 2)
    else:
        u, v = q.unbind(-1)
        rows = torch.stack(
            (
                torch.stack((x, y, one, zero, zero, zero, -u * x, -u * y), -1),
                torch.stack((zero, zero, zero, x, y, one, -v * x, -v * y), -1),
            ),
            2,
        )
    weighted = rows * weights[..., None, None]
    left = torch.einsum("bnik,bnil->bkl", weighted, rows)
    right = torch.einsum("bnik,bni->bk", weighted, q)
    ridge = 1e-7 * (left.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-6)
    found = torch.linalg.solve(left + ridge * torch.eye(left.shape[1], device=left.device), right)
    h = _filled(found, kind)
    return scaled(torch.linalg.inv(before) @ h @ before)


def _filled(found: Tensor, kind: Kind) -> Tensor:
    one, zero = torch.ones_like(found[:, 0]), torch.zeros_like(found[:, 0])
    if kind == "similarity":
        a, b, u, v = found.unbind(1)
        return torch.stack((a, -b, u, b, a, v, zero, zero, one), 1).reshape(-1, 3, 3)
    return torch.cat((found, one[:, None]), 1).reshape(-1, 3, 3)


def scaled(h: Tensor) -> Tensor:
    """Return `h` ``[B, 3, 3]`` with h33 = 1."""
    return h / h[:, 2:, 2:]
