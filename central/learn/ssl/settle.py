"""What is done once a run has learned: its norms get used to frames as they are, its embedding becomes one.

The embedding head is linear on the mean of the deepest features. It is fitted, not trained: axes of the greatest
variance over the material, evened out (whitening with shrinkage), so that no single thing, such as brightness, decides
which frames are alike. One dimension is a constant: without it a frame close to the mean of all would point anywhere
once it is brought to unit length; with it the cosine is that of distances.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from central.learn.data import Pixels
from central.learn.models.heads import EmbeddingHead
from central.learn.ssl import Trunk
from central.learn.ssl.learner import norms
from edge.runtime.prepare import letterbox

SHRINK: Final = 0.05
"""Share of the mean variance that is added to every axis: those of hardly any are mostly noise."""
OFFSET: Final = 1.0
"""Of the constant, in root mean squares of the other dimensions together: half of the likeness of two strangers."""
BATCH: Final = 32
FRAMES: Final = 1500
"""Frames that are looked at."""


def inputs(images: Iterable[Pixels | None], height: int, width: int) -> list[NDArray[np.uint8]]:
    """Return those of `images` (BGR) that could be read as a network is fed with them, uint8 ``[3, height, width]``."""
    fitted = (letterbox(image, height, width)[0] for image in images if image is not None)
    return [np.ascontiguousarray(f[:, :, ::-1].transpose(2, 0, 1)) for f in fitted]


def batches(pixels: Sequence[NDArray[np.uint8]], device: torch.device) -> Iterable[Tensor]:
    """Yield `pixels` in batches on `device`."""
    for start in range(0, len(pixels), BATCH):
        yield torch.from_numpy(np.stack(pixels[start : start + BATCH])).to(device)


@torch.no_grad()
def settle_norms(trunk: Trunk, pixels: Sequence[NDArray[np.uint8]]) -> None:
    """Give the batch norms of `trunk` the statistics of `pixels`."""
    found = [m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.momentum for m in found]
    for norm in found:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    trunk.train()
    for batch in batches(pixels, norms(trunk)[0].device):
        if len(batch) > 1:
            trunk(batch)
    for norm, momentum in zip(found, before, strict=True):
        norm.momentum = momentum
    trunk.eval()


@torch.no_grad()
def means(backbone: nn.Module, pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Return the mean of the deepest features of each of `pixels`, ``[N, C]``, on the CPU."""
    backbone.eval()
    device = next(backbone.parameters()).device
    rows = [backbone(Trunk.normalised(batch))[2].mean((2, 3)).float().cpu() for batch in batches(pixels, device)]
    return torch.cat(rows)


@torch.no_grad()
def fit_embedding(head: EmbeddingHead, points: Tensor, shrink: float = SHRINK) -> None:
    """Fit `head` to the features ``[N, C]`` of the material: their main axes, evened out."""
    points = points.double()
    middle = points.mean(0)
    values, axes = torch.linalg.eigh((points - middle).T @ (points - middle) / max(1, len(points) - 1))
    values, axes = values.flip(0).clamp_min(0), axes.flip(1)
    count = head.project.weight.shape[0]
    dimension = min(count - 1, len(values))
    scale = (values + shrink * values.mean() + 1e-12).rsqrt()[:dimension]
    weight = torch.zeros(count, points.shape[1], dtype=torch.float64)
    weight[:dimension] = scale[:, None] * axes[:, :dimension].T
    offset = -(weight @ middle)
    offset[-1] = OFFSET * (values[:dimension] * scale**2).sum().sqrt()
    head.project.weight.copy_(weight[:, :, None, None])
    bias = head.project.bias
    assert bias is not None  # a Conv2d of ours
    bias.copy_(offset)
