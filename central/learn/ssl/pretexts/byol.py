"""Two views of a frame look alike: the student predicts what the teacher makes of the other view.

Grill et al., "Bootstrap your own latent" (NeurIPS 2020), with two-layer heads of 512 and 128 as small networks take.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import torch
from torch import Tensor

from central.learn.ssl import Needs, Pretext, Scene, Shape
from central.learn.ssl.layers import BOTH_WAYS, Heads, distance, mlp, pooled


class Byol(Pretext):
    """On the mean of the deepest features, both ways."""

    name = "byol"
    needs = Needs(views=True)
    Options: ClassVar[type[msgspec.Struct]] = Heads

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.project = mlp(shape.widths[2], options.hidden, options.out)
        self.predict = mlp(options.out, options.hidden, options.out)

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the mean distance over both directions, 0..4."""
        parts = []
        for mine, other in BOTH_WAYS:
            prediction = self.predict(self.project(pooled(scene.student(mine).features)))
            with torch.no_grad():
                target = teacher.project(pooled(scene.teacher(other).features))
            parts.append(distance(prediction, target).mean())
        return (parts[0] + parts[1]) / 2


PRETEXT = Byol
