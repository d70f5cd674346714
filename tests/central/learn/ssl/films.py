"""Clips drawn on the spot, as a loader brings them: things that slide over a street, and pairs of a rig."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import ssl_planes
from central.learn.ssl import Batch
from central.learn.ssl.clips import flow_of, moving_in
from tests.central.learn.ssl.worlds import batch as still

VIDEO = ("depth", "depth_order", "egomotion", "flow", "future", "order", "stereo")
"""Pretexts of video and of pairs."""
SIDE = 64
MOVING = NDArray[np.uint8]


def slides(seed: int, frames: int = 4, step: int = 4, rng_noise: float = 2.0) -> MOVING:
    """Return ``[frames, SIDE, SIDE, 3]``: a bright block that goes right over a soft background; a camera's noise."""
    random = np.random.default_rng(seed)
    back = np.repeat(np.repeat(random.integers(60, 120, (8, 8, 3)), 8, 0), 8, 1).astype(np.float64)
    block = random.integers(150, 250, (16, 16, 3))
    x, y = int(random.integers(0, 20)), int(random.integers(0, SIDE - 16))
    made = []
    for i in range(frames):
        image = back.copy()
        image[y : y + 16, x + i * step : x + i * step + 16] = block
        made.append(np.clip(image + random.normal(0, rng_noise, image.shape), 0, 255).astype(np.uint8))
    return np.stack(made)


def film(count: int = 3, seed: int = 0, frames: int = 4) -> Batch:
    """Return a batch that has all that pretexts of video and pairs ask for."""
    clips = [slides(seed + i, frames) for i in range(count)]
    rigs = [ssl_planes.scene(seed + i, SIDE, SIDE, "rig") for i in range(count)]
    plain, right = (torch.from_numpy(np.stack([r.frames[i] for r in rigs])).permute(0, 3, 1, 2) for i in (1, 2))
    return still(count, SIDE, seed)._replace(
        clip=torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3).contiguous(),
        times=torch.arange(frames).expand(count, -1) * 0.1,
        moving=torch.from_numpy(np.stack([moving_in(list(c)) for c in clips])),
        flow=torch.from_numpy(np.stack([flow_of(list(c)) for c in clips])),
        plain=plain.contiguous(), right=right.contiguous(),
        rig=torch.tensor([[rigs[0].focal, ssl_planes.RIG_M]]).expand(count, -1),
    )  # fmt: skip
