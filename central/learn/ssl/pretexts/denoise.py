"""What a frame was before noise and compression: the encoder is kept, the decoder is not.

Both are added on the spot. Best beside another pretext, at a weight of 0.1 to 0.5: fine detail is all that it asks for.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from central.learn.ssl import Needs, Pretext, Scene, Shape
from central.learn.ssl.corrupt import jpeg, noisy
from central.learn.ssl.layers import Decoder, luck


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done to frames."""

    noise: Annotated[float, Meta(ge=0, le=1)] = 0.2
    """The most, as a deviation of pixels 0..1; each frame gets from nothing to this."""
    jpeg: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Probability of compression, at a quality of 5 to 50."""
    width: Annotated[int, Meta(ge=8, le=2048)] = 128
    """Channels of the decoder at stride 32; half as many at 16, a quarter at 8."""


class Denoise(Pretext):
    """Through the neck, whose levels the decoder draws from."""

    name = "denoise"
    needs = Needs(plain=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.decoder = Decoder((shape.neck,) * 3, options.width)

    def corrupted(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return `images` ``[B, 3, H, W]`` 0..255 with noise, and some of them compressed."""
        bad = noisy(images.float(), self.options.noise * 255, random)
        chosen = torch.rand(len(images), generator=random, device=random.device) < self.options.jpeg
        quality = torch.rand(len(images), generator=random, device=random.device) * 45 + 5
        return torch.where(chosen[:, None, None, None], jpeg(bad, quality), bad)

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the mean absolute error, in the units that the backbone works on (64 pixel steps)."""
        images = scene.images("plain")
        seen = scene.trunk(self.corrupted(images, luck(scene.random, images.device)))
        return (self.decoder(seen.levels) - scene.trunk.normalised(images)).abs().mean()  # type: ignore[no-any-return]


PRETEXT = Denoise
