"""A trunk from tags alone: classification of whole images, with the map of each class kept (CAM).

    image -> backbone, neck -> 1x1 convolution at strides 8 and 16 -> maps [C, h, w] -> log-mean-exp -> logit per tag

No box is seen. Pooling between mean and maximum (Pinheiro and Collobert, "From image-level to pixel-level labeling with
convolutional networks", CVPR 2015) lets small objects count without the maps shrinking to the most telling part. Tags
that are unknown contribute nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

import cv2
import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.data.dataset import read_image
from central.learn.models import ModelConfig
from central.learn.models.config import SIZES
from central.learn.ssl import Trunk
from edge.runtime.prepare import Image, letterbox

SHARPNESS: Final = 4.0
"""Of the pooling: 0 is the mean over all places, infinity the maximum."""
PREFIX: Final = "trunk."
"""Of the trunk's weights in a trunk that was trained from tags."""
LEVELS: Final = 2
"""Finest levels of the neck that classify: coarser ones say little of where."""
SMALLEST_CROP: Final = 0.75
"""Side of a training crop as a share of the image: a smaller one may lose what the tag is about."""


class ClassifyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training from tags."""

    size: str = "nano"
    side: Annotated[int, Meta(ge=32, le=1024)] = 192
    """Of the input, pixels; a multiple of 32."""
    epochs: Annotated[int, Meta(ge=1)] = 20
    batch: Annotated[int, Meta(ge=2)] = 32
    rate: Annotated[float, Meta(gt=0, le=1)] = 2e-3
    decay: Annotated[float, Meta(ge=0, le=1)] = 0.05
    seed: int = 0


class TagMaps(nn.Module):
    """Trunk and maps: `forward` returns logits ``[B, C]``, `maps` those of each place ``[B, C, h, w]`` at stride 8."""

    def __init__(self, trunk: Trunk, tags: int) -> None:
        super().__init__()
        self.trunk = trunk
        channels = SIZES[trunk.config.size].neck
        self.out = nn.ModuleList(nn.Conv2d(channels, tags, 1) for _ in range(LEVELS))

    def levels(self, images: Tensor) -> list[Tensor]:
        """Return the class maps of each level of RGB images 0..255 ``[B, 3, H, W]``."""
        seen = self.trunk(images).levels
        return [layer(level) for layer, level in zip(self.out, seen, strict=False)]

    def forward(self, images: Tensor) -> Tensor:
        found = [pooled(level) for level in self.levels(images)]
        return torch.stack(found).mean(0)

    def maps(self, images: Tensor) -> Tensor:
        """Return logits per place ``[B, C, H/8, W/8]``, the mean of the levels."""
        first, *others = self.levels(images)
        size = first.shape[2:]
        up = [F.interpolate(o, size=size, mode="bilinear", align_corners=False) for o in others]
        return torch.stack([first, *up]).mean(0)


def pooled(maps: Tensor) -> Tensor:
    """Return the log-mean-exp ``[B, C]`` of maps ``[B, C, h, w]``, between their mean and their maximum."""
    flat = maps.flatten(2) * SHARPNESS
    return (flat.logsumexp(2) - math.log(flat.shape[2])) / SHARPNESS


def known_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross entropy of logits ``[B, C]`` over the cells that labels ``[B, C]`` (1, -1, 0) know.

    `weights` ``[B, C]`` 0..1 say how much a cell counts (1 unless given).
    """
    known = (labels != 0).float() if weights is None else weights * (labels != 0)
    loss = F.binary_cross_entropy_with_logits(logits, (labels > 0).float(), reduction="none")
    return (loss * known).sum() / known.sum().clamp_min(1.0)


def recoloured(image: Image, random: np.random.Generator) -> Image:
    """Return a BGR `image` in other light: brighter or darker, of more or less contrast and colour."""
    gain, gamma = np.exp(random.uniform(-0.25, 0.25)), np.exp(random.uniform(-0.2, 0.2))
    tint = random.normal(0, 0.03, 3)
    level = np.arange(256, dtype=np.float32)[:, None] / 255
    table = (255 * np.clip(gain * np.exp(tint) * level**gamma, 0, 1)).astype(np.uint8)
    found = np.asarray(cv2.LUT(image, table.reshape(1, 256, 3)), np.uint8)
    grey = cv2.cvtColor(cv2.cvtColor(found, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    share = random.uniform(0.6, 1.3)
    return np.asarray(cv2.addWeighted(found, share, grey, 1 - share, 0), np.uint8)


class Pictures:
    """Images in memory, letterboxed into a square, and their training views."""

    def __init__(self, paths: Sequence[Path], side: int) -> None:
        self.side = side
        self.pixels = np.full((len(paths), side, side, 3), 114, np.uint8)
        self.read = np.zeros(len(paths), bool)
        for place, path in enumerate(paths):
            image = read_image(str(path))
            if image is not None:
                self.pixels[place], self.read[place] = letterbox(image, side, side)[0], True

    def view(self, place: int, random: np.random.Generator) -> Image:
        """Return image `place` cropped, mirrored and recoloured by chance."""
        image = self.pixels[place]
        share = random.uniform(SMALLEST_CROP, 1.0)
        size = round(self.side * share)
        x, y = (int(v) for v in random.integers(0, self.side - size + 1, 2))
        crop = np.asarray(cv2.resize(image[y : y + size, x : x + size], (self.side, self.side)), np.uint8)
        crop = crop[:, ::-1] if random.random() < 0.5 else crop
        return recoloured(np.ascontiguousarray(crop), random)


def tensor(images: Sequence[Image]) -> Tensor:
    """Return BGR `images` of one size as an RGB batch ``[B, 3, H, W]`` uint8."""
    return torch.from_numpy(np.stack([np.ascontiguousarray(i[:, :, ::-1].transpose(2, 0, 1)) for i in images]))


def train(
    config: ClassifyConfig, paths: Sequence[Path], labels: NDArray[np.int8], start: dict[str, Tensor] | None = None,
    tell: Callable[[int, float], None] = lambda epoch, loss: None,
) -> TagMaps:  # fmt: skip
    """Return a network trained on images with `labels` ``[N, C]`` (1, -1, 0). `start`: weights of a trunk, by name.

    Raises ValueError where there is nothing to learn from.
    """
    pictures = Pictures(paths, config.side)
    usable = np.flatnonzero(pictures.read & (labels != 0).any(1))
    if len(usable) < 2:
        raise ValueError("discovery needs at least two readable images with a known tag")
    torch.manual_seed(config.seed)
    names = tuple(f"t{i}" for i in range(labels.shape[1]))
    trunk = Trunk(ModelConfig(size=config.size, labels=names, height=config.side, width=config.side))
    if start is not None:
        trunk.load_state_dict({**trunk.state_dict(), **_fitting(trunk, start)})
    network = TagMaps(trunk, labels.shape[1]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _fit(network, config, pictures, usable, torch.from_numpy(labels.astype(np.float32)), tell)
    trained: TagMaps = network.eval()
    return trained


def _fitting(trunk: Trunk, start: dict[str, Tensor]) -> dict[str, Tensor]:
    own = trunk.state_dict()
    start = {n.removeprefix(PREFIX): t for n, t in start.items()}
    found = {n: t for n, t in start.items() if n in own and own[n].shape == t.shape}
    if not found:
        raise ValueError("none of the weights to start from fits this trunk; are they of another size?")
    return found


def _fit(
    network: TagMaps, config: ClassifyConfig, pictures: Pictures, usable: NDArray[np.int64], labels: Tensor,
    tell: Callable[[int, float], None],
) -> None:  # fmt: skip
    random = np.random.default_rng(config.seed)
    batches = max(1, len(usable) // config.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.rate, total_steps=config.epochs * batches + 1, pct_start=0.15
    )
    network.train()
    for epoch in range(config.epochs):
        order, total = random.permutation(usable), 0.0
        for number in range(batches):
            rows = order[number * config.batch : (number + 1) * config.batch]
            images = tensor([pictures.view(int(row), random) for row in rows])
            logits = network(images.contiguous(memory_format=torch.channels_last))
            loss = known_loss(logits, labels[torch.from_numpy(rows)])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        tell(epoch, total / batches)
