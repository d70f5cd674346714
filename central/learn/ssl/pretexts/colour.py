"""What colour things have, from a frame without: the encoder sees grey.

Zhang et al., "Colorful image colorization" (ECCV 2016), on the chroma Cb and Cr of cells at stride 8: one of 256
classes, rare colours weighing more, as most of a street is grey; or their values. Weak alone; of no use by night.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional as F

from central.learn.ssl import Material, Needs, Pretext, PretextError, Scene, Shape
from central.learn.ssl.corrupt import grey, to_ycc
from central.learn.ssl.layers import gathered, pointwise

SIDE: Final = 16
"""Classes along each axis of chroma."""
STEP: Final = 10.0
"""Chroma steps per class, as in the paper; beyond 80 from grey, the outermost class."""
DULL: Final = 2.0
"""Mean distance from grey, pixel steps, below which a camera has no colour but that of its compression."""
LOOKED_AT: Final = 16
"""Clips of one frame that are looked at for colour."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for."""

    target: Literal["classes", "values"] = "classes"
    hidden: Annotated[int, Meta(ge=8, le=8192)] = 128
    flat: Annotated[float, Meta(ge=0.01, le=1)] = 0.5
    """How far the weights of colours forget how rare each is: 1 not to weigh at all."""
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.99
    """Of the share of each colour."""


def classes(chroma: Tensor) -> Tensor:
    """Return the class 0..255 of `chroma` ``[B, 2, h, w]``, -128..128: ``[B, h, w]``."""
    at = (chroma / STEP + SIDE / 2).floor().clamp(0, SIDE - 1).long()
    return at[:, 0] * SIDE + at[:, 1]


def weights(shares: Tensor, flat: float) -> Tensor:
    """Return the weight of each class, 1 in the mean over `shares` ``[N]``: 1 / ((1 - flat) share + flat / N)."""
    raw = 1 / ((1 - flat) * shares + flat / len(shares))
    return raw / (raw * shares).sum()


class Colour(Pretext):
    """Through the neck, on its finest level."""

    shares: Tensor
    name = "colour"
    needs = Needs(plain=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.head = pointwise(shape.neck, options.hidden, SIDE * SIDE if options.target == "classes" else 2)
        self.register_buffer("shares", torch.full((SIDE * SIDE,), 1 / SIDE**2))
        self._seen: Tensor | None = None

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the weighted cross-entropy, or the mean absolute error in units of 64 chroma steps."""
        images = scene.images("plain")
        chroma = F.avg_pool2d(to_ycc(images)[:, 1:], 8)
        said = self.head(scene.trunk(grey(images)).levels[0])
        if self.options.target == "values":
            return F.l1_loss(said, chroma / 64)
        self._seen = classes(chroma)
        return F.cross_entropy(said, self._seen, weights(self.shares, self.options.flat))

    def after(self, scene: Scene, teacher: Any) -> None:
        """Count the colours of the batch."""
        if self._seen is not None:
            counts = torch.bincount(self._seen.flatten(), minlength=SIDE * SIDE)[None]
            found = gathered(counts).sum(0).to(self.shares)
            self.shares.lerp_(found / found.sum(), 1 - self.options.momentum)
        self._seen = None

    def check(self, material: Material) -> None:
        """Raise PretextError where frames have no colour."""
        clips = material.clips(LOOKED_AT, 1, 0.0)
        images = [clip[0][::8, ::8, ::-1] for clip in clips]
        tensors = [torch.from_numpy(np.ascontiguousarray(i)).permute(2, 0, 1)[None] for i in images]
        if tensors and max(float(to_ycc(t)[:, 1:].abs().mean()) for t in tensors) < DULL:
            raise PretextError(
                f"the frames have no colour to predict ({len(tensors)} looked at): leave out 'colour'; 'masked' and"
                " 'denoise' work without"
            )


PRETEXT = Colour
