"""The same thing looks alike in both views: BYOL on each box, on the neck's features.

Wei et al., "Aligning pretraining for detection via object-level contrastive learning" (SoCo, NeurIPS 2021), with our
boxes, and one view per side. It is what pre-trains the neck.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from central.learn.ssl import Needs, Pretext, Scene, Seen, Shape
from central.learn.ssl.layers import distance, mlp
from central.learn.ssl.roi import roi_means

FEWEST = 2
"""Boxes of a batch; a batch norm needs as many."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of the heads, and the grid that a box is read on."""

    hidden: Annotated[int, Meta(ge=8, le=8192)] = 512
    out: Annotated[int, Meta(ge=8, le=2048)] = 128
    size: Annotated[int, Meta(ge=1, le=14)] = 5


class Objects(Pretext):
    """On the mean of each box, both ways."""

    name = "objects"
    needs = Needs(views=True, boxes=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.project = mlp(shape.neck, options.hidden, options.out)
        self.predict = mlp(options.out, options.hidden, options.out)
        self._boxes = 0

    def _inside(self, seen: Seen, scene: Scene, view: Literal["first", "second"]) -> Tensor:
        """Return what is in the boxes of `view`, ``[N, neck]``."""
        boxes = scene.batch.first_boxes if view == "first" else scene.batch.second_boxes
        assert boxes is not None and scene.batch.boxed is not None  # by its needs
        return roi_means(seen.levels, boxes, self.options.size)[scene.batch.boxed]

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the mean distance over all boxes and both directions, 0..4; 0 where there are no boxes."""
        first = self._inside(scene.student("first"), scene, "first")
        second = self._inside(scene.student("second"), scene, "second")
        self._boxes = len(first)
        if len(first) < FEWEST:
            return (first.sum() + second.sum()) * 0.0
        with torch.no_grad():
            targets = [teacher.project(self._inside(scene.teacher(v), scene, v)) for v in ("second", "first")]
        predictions = [self.predict(self.project(x)) for x in (first, second)]
        parts = [distance(p, t).mean() for p, t in zip(predictions, targets, strict=True)]
        return (parts[0] + parts[1]) / 2

    def watched(self) -> dict[str, float]:
        """Return how many boxes the last batch had."""
        return {"boxes": float(self._boxes)}


PRETEXT = Objects
