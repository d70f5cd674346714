"""Two views of a frame look alike, without a teacher: each predicts the other, which is held still meanwhile.

Chen and He, "Exploring simple Siamese representation learning" (CVPR 2021).
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from torch import Tensor, nn

from central.learn.ssl import Needs, Pretext, Scene, Shape
from central.learn.ssl.layers import BOTH_WAYS, Heads, distance, mlp, pooled


class SimSiam(Pretext):
    """On the mean of the deepest features. The predictor is a bottleneck, a quarter of the output wide."""

    name = "simsiam"
    needs = Needs(views=True)
    Options: ClassVar[type[msgspec.Struct]] = Heads

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        hidden = options.hidden
        enter = [nn.Linear(shape.widths[2], hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
        self.project = nn.Sequential(*enter, *mlp(hidden, hidden, options.out, norm=True))
        self.predict = mlp(options.out, options.out // 4, options.out)

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the mean distance over both directions, 0..4: 2 more than twice the paper's."""
        first, second = (self.project(pooled(scene.student(view).features)) for view, _ in BOTH_WAYS)
        return symmetric(self.predict(first), first, self.predict(second), second)


def symmetric(ahead: Tensor, first: Tensor, behind: Tensor, second: Tensor) -> Tensor:
    """Return the mean distance of predictions from the other view: `ahead` of `first` and `behind` of `second`.

    All are ``[B, D]``. With the paper's loss L (equation 2) it is 2 + 2 L.
    """
    return (distance(ahead, second) + distance(behind, first)).mean() / 2


PRETEXT = SimSiam
