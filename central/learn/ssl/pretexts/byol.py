"""Two views of a frame look alike: the student predicts what the teacher makes of the other view.

Grill et al., "Bootstrap your own latent" (NeurIPS 2020), with two-layer heads of 512 and 128 as small networks take.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from central.learn.ssl import Needs, Pretext, Scene, Shape
from central.learn.ssl.layers import distance, mlp


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of the heads."""

    hidden: Annotated[int, Meta(ge=8, le=8192)] = 512
    out: Annotated[int, Meta(ge=8, le=2048)] = 128


class Byol(Pretext):
    """On the mean of the deepest features, both ways."""

    name = "byol"
    needs = Needs(views=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.project = mlp(shape.widths[2], options.hidden, options.out)
        self.predict = mlp(options.out, options.hidden, options.out)

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the mean distance over both directions, 0..4."""
        parts = []
        for mine, other in (("first", "second"), ("second", "first")):
            prediction = self.predict(self.project(scene.student(mine).features[2].mean((2, 3))))  # type: ignore[arg-type]
            with torch.no_grad():
                target = teacher.project(scene.teacher(other).features[2].mean((2, 3)))  # type: ignore[arg-type]
            parts.append(distance(prediction, target).mean())
        return (parts[0] + parts[1]) / 2


PRETEXT = Byol
