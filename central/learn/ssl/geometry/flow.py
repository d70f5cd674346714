"""What a flow there and one back say of pixels that the other frame does not show."""

from __future__ import annotations

from torch import Tensor

from central.learn.ssl.geometry import warp


def hidden(forward: Tensor, backward: Tensor) -> Tensor:
    """Return which pixels of the first picture the second does not show: bool ``[B, 1, H, W]``.

    Both flows ``[B, 2, H, W]``; where they disagree (Meister et al., AAAI 2018, eq. 1), and what leaves the picture.
    """
    places = warp.flowed(forward)
    back = warp.sample(backward, places)
    apart = (forward + back).square().sum(1, keepdim=True)
    size = forward.square().sum(1, keepdim=True) + back.square().sum(1, keepdim=True)
    return (apart > 0.01 * size + 0.5) | ~warp.inside(places, *forward.shape[2:])
