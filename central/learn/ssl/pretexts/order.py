"""The arrow of time: does a clip run forwards? (Misra et al., ECCV 2016; Wei et al., CVPR 2018)

Only cells in which something moves are looked at, and each direction is judged by the same network, so that neither the
place nor the look of the background can tell: ``logit(clip) = g(clip) - g(clip backwards)``.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.blocks import Conv
from central.learn.ssl import Needs, Pretext, PretextError, Scene, Shape
from central.learn.ssl.geometry import by_clip, coarser

FRAMES = 3


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which level is looked at, and the width of the network that judges."""

    level: Annotated[int, Meta(ge=0, le=2)] = 1
    hidden: Annotated[int, Meta(ge=8, le=1024)] = 64


class Order(Pretext):
    """Half of the clips of a batch are turned around; which ones?"""

    name = "order"
    needs = Needs(clip=FRAMES, pace=0.2)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.judge = nn.Sequential(
            Conv(FRAMES * shape.neck, options.hidden, 3), Conv(options.hidden, options.hidden, 3),
            nn.Conv2d(options.hidden, 1, 1),
        )  # fmt: skip
        self._right = 0.0

    def logit(self, maps: Tensor, moving: Tensor) -> Tensor:
        """Return how sure it is that `maps` ``[B, 3, C, h, w]`` run forwards, by what is `moving`: ``[B]``."""
        both = torch.cat((maps.flatten(1, 2), maps.flip(1).flatten(1, 2)))
        ways, back = self.judge(both).float().chunk(2)
        weights = moving.float()
        found: Tensor = ((ways - back) * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3)).clamp_min(1)
        return found

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the cross entropy of the clips in which anything moves; ln 2 is chance."""
        count = len(scene.batch.frame)
        if scene.batch.moving is None:
            raise PretextError("pretext 'order': needs to be told what moves in its clips")
        maps = by_clip(scene.student("clip").levels[self.options.level], count)[:, :FRAMES]
        moving = coarser(scene.batch.moving[:, :FRAMES], maps.shape[3:]).any(1)
        forwards = (torch.rand(count, generator=scene.random) < 0.5).to(maps.device)
        logit = self.logit(torch.where(forwards[:, None, None, None, None], maps, maps.flip(1)), moving)
        counted = moving.flatten(1).any(1).float()
        self._right = float((((logit > 0) == forwards).float() * counted).sum() / counted.sum().clamp_min(1))
        losses = F.binary_cross_entropy_with_logits(logit, forwards.float(), reduction="none")
        return (losses * counted).sum() / counted.sum().clamp_min(1)

    def watched(self) -> dict[str, float]:
        """Return the share of clips judged rightly."""
        return {"order_right": self._right}


PRETEXT = Order
