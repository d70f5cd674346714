"""A view finds the teacher's key of the other view among the keys of other frames.

Chen et al., "An empirical study of training self-supervised vision transformers" (MoCo v3, ICCV 2021): a predictor,
both ways, the batch as negatives. With a `queue`, He et al. (MoCo, CVPR 2020; the head of v2): no predictor, one way,
and the keys of earlier batches as negatives, which small batches need.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional as F

from central.learn.ssl import Needs, Pretext, Scene, Shape, View
from central.learn.ssl.layers import BOTH_WAYS, Heads, Queue, gathered, mlp, pooled
from central.learn.ssl.losses import info_nce


class Options(Heads, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of the heads, the temperature, and the length of the queue."""

    temperature: Annotated[float, Meta(ge=0.01, le=10)] = 0.2
    queue: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Keys of earlier batches that are kept; 0: those of this one count, as in MoCo v3."""


class Moco(Pretext):
    """On the mean of the deepest features."""

    name = "moco"
    needs = Needs(views=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.project = mlp(shape.widths[2], options.hidden, options.out)
        self.predict = None if options.queue else mlp(options.out, options.hidden, options.out)
        self.queue = Queue(options.queue, options.out) if options.queue else None
        self._keys: Tensor | None = None

    def _query(self, scene: Scene, view: View) -> Tensor:
        found: Tensor = self.project(pooled(scene.student(view).features))
        if self.predict is not None:
            found = self.predict(found)
        return found

    @torch.no_grad()
    def _key(self, scene: Scene, teacher: Any, view: View) -> Tensor:
        key: Tensor = teacher.project(pooled(scene.teacher(view).features))
        return key

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the cross-entropy of finding the key; by batch, times twice the temperature and both ways."""
        frame, temperature = scene.batch.frame, self.options.temperature
        if self.queue is not None:
            self._keys = F.normalize(self._key(scene, teacher, "second"), dim=1)
            against = frame[:, None] != self.queue.frames
            return info_nce(self._query(scene, "first"), self._keys, self.queue.keys, temperature, against)
        against = frame[:, None] != gathered(frame)
        parts = []
        for mine, other in BOTH_WAYS:
            key = self._key(scene, teacher, other)
            parts.append(info_nce(self._query(scene, mine), key, gathered(key), temperature, against))
        found: Tensor = 2 * temperature * (parts[0] + parts[1])
        return found

    def after(self, scene: Scene, teacher: Any) -> None:
        """Put the keys of the batch into the queue."""
        if self.queue is not None and self._keys is not None:
            self.queue.push(self._keys, scene.batch.frame)
        self._keys = None


PRETEXT = Moco
