"""What a frame shows where it is covered, from the rest: masked reconstruction for networks of convolutions.

Tian et al., "Designing BERT for convolutional networks" (SparK, ICLR 2023), see `central.learn.ssl.sparse`: cells at
stride 32 are hidden from the backbone, each scale gets a token of its own there, and a light decoder draws the pixels,
each patch less its own mean and in units of its own deviation. The neck learns nothing of it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from central.learn.ssl import Needs, Pretext, Scene, Shape, Trunk, sparse
from central.learn.ssl.layers import Decoder, luck
from central.learn.ssl.losses import masked_error, normalised, patches

CELL: Final = 32
"""Pixels: a cell of the coarsest features, below which a mask would not be the same at every scale."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is hidden, and how."""

    hidden: Annotated[float, Meta(gt=0, lt=1)] = 0.6
    """Share of cells."""
    width: Annotated[int, Meta(ge=8, le=2048)] = 128
    """Channels of the decoder at stride 32; half as many at 16, a quarter at 8."""
    dense: bool = False
    """Only for comparison: hide pixels alone, so that holes spread through the backbone as if they were seen."""


class Masked(Pretext):
    """On the frame itself, in its own colours."""

    name = "masked"
    needs = Needs(plain=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in shape.widths)
        self.tokens = nn.ParameterList(nn.Parameter(torch.randn(width, 1, 1) * 0.02) for width in shape.widths)
        self.decoder = Decoder(shape.widths, options.width)

    def encode(self, trunk: Trunk, images: Tensor, visible: Tensor) -> list[Tensor]:
        """Return the backbone's features ``[B, C, H/s, W/s]`` of the `visible` cells of `images`, 0 elsewhere."""
        ready = trunk.normalised(images)
        if not self.options.dense:
            return sparse.features(trunk.backbone, ready, visible)
        found: list[Tensor] = trunk.backbone(ready * sparse.fitted(visible, ready))
        return [x * sparse.fitted(visible, x) for x in found]

    def draw(self, features: list[Tensor], visible: Tensor) -> Tensor:
        """Return the patches ``[B, h, w, 3 * 32 * 32]`` that the decoder draws from `features` and the tokens."""
        filled = []
        for x, layer, token in zip(features, self.norms, self.tokens, strict=True):
            mask = sparse.fitted(visible, x)
            filled.append(sparse.norm(layer, x, mask) + token * (1 - mask))  # type: ignore[arg-type]
        return patches(self.decoder(filled), CELL)

    def error(self, trunk: Trunk, images: Tensor, visible: Tensor) -> Tensor:
        """Return the mean squared error on hidden cells; about 1 for who draws every patch in its mean colour."""
        drawn = self.draw(self.encode(trunk, images, visible), visible)
        wanted = normalised(patches(images.float() / 255, CELL))
        return masked_error(drawn, wanted, ~visible[:, 0])

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the error on hidden cells, 0.. about 1."""
        images = scene.images("plain")
        height, width = images.shape[2] // CELL, images.shape[3] // CELL
        visible = sparse.draw(len(images), height, width, self.options.hidden, luck(scene.random, images.device))
        return self.error(scene.trunk, images, visible)


PRETEXT = Masked
