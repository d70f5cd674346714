"""A place finds itself in the other view among other frames; that it is the same place, the backbone itself tells.

Wang et al., "Dense contrastive learning for self-supervised visual pre-training" (CVPR 2021): the loss of whole views
and that of places, weighed by lambda. Places are cells of the neck, so that it is trained, too.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional as F

from central.learn.ssl import Needs, Pretext, Scene, Shape, View
from central.learn.ssl.layers import BOTH_WAYS, Heads, Queue, gathered, mlp, pointwise, pooled
from central.learn.ssl.losses import info_nce


class Options(Heads, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of the heads, and what is compared with what."""

    temperature: Annotated[float, Meta(ge=0.01, le=10)] = 0.2
    places: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Lambda: the weight of places; that of whole views is the rest."""
    level: Annotated[int, Meta(ge=0, le=2)] = 1
    """Of the neck and the backbone: strides 8, 16, 32."""
    queue: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024
    """Earlier frames that places are told from, besides those of the batch."""


def rows(cells: Tensor) -> Tensor:
    """Return ``[B, D, h, w]`` as ``[B, h * w, D]``."""
    return cells.flatten(2).transpose(1, 2)


@torch.no_grad()
def partners(mine: Tensor, other: Tensor) -> Tensor:
    """Return for every row of `mine` ``[B, N, D]`` which of `other` ``[B, M, D]`` is most like it: ``[B, N]``."""
    return (F.normalize(mine, dim=2) @ F.normalize(other, dim=2).transpose(1, 2)).argmax(2)


class Dense(Pretext):
    """Negatives of a place are the means of other frames' places: the batch's, and those of a queue."""

    name = "dense"
    needs = Needs(views=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.project = mlp(shape.widths[2], options.hidden, options.out)
        self.cells = pointwise(shape.neck, options.hidden // 2, options.out)
        self.queue = Queue(options.queue, options.out)
        self._keys: Tensor | None = None

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the weighted sum of both cross-entropies, meant over both directions."""
        share, parts = self.options.places, []
        for mine, other in BOTH_WAYS:
            parts.append((1 - share) * self._whole(scene, teacher, mine, other))
            parts.append(share * self._places(scene, teacher, mine, other))
        return torch.stack(parts).sum() / 2

    def _whole(self, scene: Scene, teacher: Any, mine: View, other: View) -> Tensor:
        with torch.no_grad():
            key = teacher.project(pooled(scene.teacher(other).features))
        query = self.project(pooled(scene.student(mine).features))
        frame = scene.batch.frame
        return info_nce(query, key, gathered(key), self.options.temperature, frame[:, None] != gathered(frame))

    def _places(self, scene: Scene, teacher: Any, mine: View, other: View) -> Tensor:
        level = self.options.level
        seen, known = scene.student(mine), scene.teacher(other)
        queries = rows(self.cells(seen.levels[level]))
        with torch.no_grad():
            keys = rows(teacher.cells(known.levels[level]))
            at = partners(rows(seen.features[level]), rows(known.features[level]))
            positive = keys.gather(1, at[:, :, None].expand_as(queries))
            self._keys = F.normalize(keys.mean(1), dim=1)
            frames = torch.cat((gathered(scene.batch.frame), self.queue.frames))
            against = (scene.batch.frame[:, None] != frames).repeat_interleave(queries.shape[1], 0)
            others = torch.cat((gathered(self._keys), self.queue.keys))
        return info_nce(queries.flatten(0, 1), positive.flatten(0, 1), others, self.options.temperature, against)

    def after(self, scene: Scene, teacher: Any) -> None:
        """Put the mean keys of the batch into the queue."""
        if self._keys is not None:
            self.queue.push(self._keys, scene.batch.frame)
        self._keys = None


PRETEXT = Dense
