"""Two views of a frame belong to the same of many prototypes, by the word of the teacher.

Caron et al., "Emerging properties in self-supervised vision transformers" (ICCV 2021): the teacher's logits are centred
and sharpened, which keeps them apart; its temperature rises at first. Two views, no smaller crops.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.ssl import Needs, Pretext, Scene, Shape
from central.learn.ssl.layers import BOTH_WAYS, Heads, gathered, mlp, pooled
from central.learn.ssl.losses import self_distillation


class Options(Heads, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of the head (`out`: prototypes), temperatures, and their course. Shares are of the run's steps."""

    out: Annotated[int, Meta(ge=8, le=65536)] = 1024
    bottleneck: Annotated[int, Meta(ge=8, le=2048)] = 128
    student: Annotated[float, Meta(ge=0.01, le=10)] = 0.1
    cold: Annotated[float, Meta(ge=0.005, le=10)] = 0.04
    """Temperature of the teacher at the start."""
    warm: Annotated[float, Meta(ge=0.005, le=10)] = 0.07
    """And from `rise` on."""
    rise: Annotated[float, Meta(ge=0, le=1)] = 0.3
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    """Of the centre."""
    still: Annotated[float, Meta(ge=0, le=1)] = 0.02
    """As long as this, prototypes stay where they are."""


def temperature(step: int, steps: int, cold: float, warm: float, rise: float) -> float:
    """Return the teacher's temperature: from `cold` to `warm` on a line over the first `rise` of `steps`."""
    done = min(1.0, step / (rise * steps)) if rise * steps > 0 else 1.0
    return cold + (warm - cold) * done


def used(shares: Tensor) -> Tensor:
    """Return how many prototypes are in use, of what each of N views has of each ``[N, out]``: e to the entropy."""
    mean = shares.mean(0)
    return torch.exp(-(mean * mean.clamp_min(1e-12).log()).sum())


class Dino(Pretext):
    """On the mean of the deepest features."""

    centre: Tensor
    name = "dino"
    needs = Needs(views=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.project = mlp(shape.widths[2], options.hidden, options.bottleneck, norm=True)
        self.prototypes = nn.Parameter(torch.randn(options.out, options.bottleneck))
        self.register_buffer("centre", torch.zeros(options.out))
        self._told: list[Tensor] = []
        self._used = torch.ones(())

    def logits(self, features: list[Tensor], still: bool = False) -> Tensor:
        """Return the cosines ``[B, out]`` with all prototypes, which do not learn where they are to be `still`."""
        prototypes = self.prototypes.detach() if still else self.prototypes
        return F.linear(F.normalize(self.project(pooled(features)), dim=1), F.normalize(prototypes, dim=1))

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the mean cross-entropy over both directions, 0.. about log(out)."""
        o = self.options
        sharp = temperature(scene.step, scene.steps, o.cold, o.warm, o.rise)
        self._told, parts = [], []
        for mine, other in BOTH_WAYS:
            with torch.no_grad():
                wanted = teacher.logits(scene.teacher(other).features)
            said = self.logits(scene.student(mine).features, scene.step < o.still * scene.steps)
            parts.append(self_distillation(said, wanted, self.centre, sharp, o.student))
            self._told.append(wanted)
        return (parts[0] + parts[1]) / 2

    def after(self, scene: Scene, teacher: Any) -> None:
        """Move the centre towards what the teacher said."""
        if self._told:
            told = gathered(torch.cat(self._told))
            self._used = used(((told - self.centre) / self.options.warm).softmax(1))
            self.centre.lerp_(told.mean(0), 1 - self.options.momentum)
        self._told = []

    def watched(self) -> dict[str, float]:
        """Return how many prototypes the teacher made use of; 1 or all of them equally is a collapse."""
        return {"prototypes": float(self._used)}


PRETEXT = Dino
