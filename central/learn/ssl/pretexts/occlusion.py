"""What a rectangle, or something that moves, would look like had it not been covered.

Half of the covers hide an object's box where there is one, the others lie anywhere. The target is what the teacher
makes of the same view uncovered, each channel less its mean and in units of its deviation over the batch, so that who
makes the same of everything predicts nothing (as Baevski et al., data2vec, ICML 2022, normalise theirs); or the pixels.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional as F

from central.learn.models.config import STRIDES
from central.learn.ssl import Batch, Needs, Pretext, Scene, Shape
from central.learn.ssl.corrupt import COVER
from central.learn.ssl.layers import Decoder, distance, luck, pointwise

LEAST: Final = 32.0
"""Pixels: the shortest side of a cover, two cells of the level that is predicted."""
LEVEL: Final = 1
"""Of the neck: stride 16."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is covered, and what is asked for."""

    target: Literal["features", "pixels"] = "features"
    objects: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Probability that an object is covered where the view has one."""
    least: Annotated[float, Meta(gt=0, le=1)] = 0.1
    """Share of the view that other covers take, from this"""
    most: Annotated[float, Meta(gt=0, le=1)] = 0.3
    """to this."""
    hidden: Annotated[int, Meta(ge=8, le=8192)] = 256


def covers(batch: Batch, height: int, width: int, options: Options, random: torch.Generator) -> Tensor:
    """Return one cover per sample, ``[B, 4]`` xyxy in pixels of the first view of `height` x `width`."""
    count, device = len(batch.frame), batch.frame.device
    luckies = torch.rand(count, 6, generator=random, device=random.device).to(device)
    area = height * width * (options.least + luckies[:, 0] * (options.most - options.least))
    aspect = torch.exp((luckies[:, 1] - 0.5) * 1.4)  # from 1:2 to 2:1
    sides = torch.stack(((area * aspect).sqrt().clamp_max(width), (area / aspect).sqrt().clamp_max(height)), 1)
    room = torch.tensor((width, height), device=device) - sides
    corner = luckies[:, 2:4] * room
    found = torch.cat((corner, corner + sides), 1)
    if batch.first_boxes is None or batch.boxed is None or not batch.boxed.shape[1]:
        return found
    wish = torch.rand(batch.boxed.shape, generator=random, device=random.device).to(device)
    chosen = wish.masked_fill(~batch.boxed, -1).argmax(1)
    box = batch.first_boxes[torch.arange(count, device=device), chosen].float()
    middle, half = (box[:, :2] + box[:, 2:]) / 2, ((box[:, 2:] - box[:, :2]) / 2).clamp_min(LEAST / 2)
    grown = torch.cat((middle - half, middle + half), 1)
    return torch.where((batch.boxed.any(1) & (luckies[:, 4] < options.objects))[:, None], grown, found)


def inside(rectangles: Tensor, height: int, width: int, stride: int = 1) -> Tensor:
    """Return which cells have their centres in `rectangles` ``[B, 4]``: ``[B, 1, height, width]`` bool."""
    y = (torch.arange(height, device=rectangles.device) + 0.5) * stride
    x = (torch.arange(width, device=rectangles.device) + 0.5) * stride
    left, top, right, bottom = rectangles[:, :, None].unbind(1)
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def standard(cells: Tensor) -> Tensor:
    """Return `cells` ``[B, C, h, w]``, each channel of mean 0 and deviation 1 over the batch and all places."""
    return F.batch_norm(cells.float(), None, None, training=True)


class Occlusion(Pretext):
    """On the first view, whose uncovered self the teacher sees anyway where other pretexts ask for it."""

    name = "occlusion"
    needs = Needs(views=True, boxes=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        pixels = options.target == "pixels"
        self.predict = None if pixels else pointwise(shape.neck, options.hidden, shape.neck)
        self.decoder = Decoder((shape.neck,) * 3) if pixels else None

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return under the covers the mean distance from the teacher's cells, 0..4, or the mean absolute error of
        pixels in units of 64 steps."""
        images = scene.images("first")
        height, width = images.shape[2:]
        hidden = covers(scene.batch, height, width, self.options, luck(scene.random, images.device))
        seen = scene.trunk(images.float().masked_fill(inside(hidden, height, width), COVER))
        error: Tensor
        if self.decoder is not None:
            error = (self.decoder(seen.levels) - scene.trunk.normalised(images)).abs().mean(1)
            under = inside(hidden, height, width)[:, 0]
        else:
            assert self.predict is not None
            wanted = standard(scene.teacher("first").levels[LEVEL])
            error = distance(self.predict(seen.levels[LEVEL]).movedim(1, -1), wanted.movedim(1, -1))
            under = inside(hidden, wanted.shape[2], wanted.shape[3], STRIDES[LEVEL])[:, 0]
        return (error * under).sum() / under.sum().clamp_min(1)


PRETEXT = Occlusion
