"""What is smooth but for edges of the picture: depth (first order) and flow (second order)."""

from __future__ import annotations

from torch import Tensor


def _steps(value: Tensor) -> tuple[Tensor, Tensor]:
    return value[..., :, 1:] - value[..., :, :-1], value[..., 1:, :] - value[..., :-1, :]


def _edges(image: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
    across, down = _steps(image)
    return (
        (-sharpness * across.abs().mean(1, keepdim=True)).exp(),
        (-sharpness * down.abs().mean(1, keepdim=True)).exp(),
    )


def relative(disparity: Tensor) -> Tensor:
    """Return `disparity` ``[B, 1, H, W]`` over its mean in each picture, so that to shrink it smooths nothing."""
    return disparity / disparity.mean((2, 3), keepdim=True).clamp_min(1e-7)


def first_order(value: Tensor, image: Tensor) -> Tensor:
    """Return the mean of |d value| e^-|d image| both ways, of ``[B, C, H, W]`` beside a picture of the same size."""
    across, down = _steps(value)
    edge_across, edge_down = _edges(image, 1.0)
    return (across.abs() * edge_across).mean() + (down.abs() * edge_down).mean()


def second_order(value: Tensor, image: Tensor, sharpness: float = 10.0) -> Tensor:
    """Return the same of the second difference, as for flow: a field that changes evenly costs nothing."""
    across, down = _steps(value)
    edge_across, edge_down = _edges(image, sharpness)
    return ((across[..., 1:] - across[..., :-1]).abs() * edge_across[..., 1:]).mean() + (
        (down[..., 1:, :] - down[..., :-1, :]).abs() * edge_down[..., 1:, :]
    ).mean()
