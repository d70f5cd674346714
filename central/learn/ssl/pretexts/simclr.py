"""Two views of a frame are closer to each other than to those of all other frames of the batch.

Chen et al., "A simple framework for contrastive learning of visual representations" (ICML 2020). Wants large batches of
different cameras: the negatives are the rest of the batch (of this process).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta
from torch import Tensor

from central.learn.ssl import Needs, Pretext, Scene, Shape
from central.learn.ssl.layers import BOTH_WAYS, Heads, mlp, pooled
from central.learn.ssl.losses import nt_xent


class Options(Heads, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of the head, and the temperature."""

    temperature: Annotated[float, Meta(ge=0.01, le=10)] = 0.2


class SimClr(Pretext):
    """On the mean of the deepest features."""

    name = "simclr"
    needs = Needs(views=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.project = mlp(shape.widths[2], options.hidden, options.out)

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the cross-entropy of finding the partner; of B frames, log(2B - 1) where all look alike."""
        first, second = (self.project(pooled(scene.student(view).features)) for view, _ in BOTH_WAYS)
        return nt_xent(first, second, self.options.temperature, scene.batch.frame)


PRETEXT = SimClr
