"""The next frame from the last three: a small recurrent network predicts what the teacher will see.

Loss: cosine distance of features, cell by cell, ten times heavier where something moves: of a fixed camera's street
nearly all is background, and a copy of the last frame predicts that. Recurrence as of Ballas et al. (ICLR 2016).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.ssl import Needs, Pretext, PretextError, Scene, Shape
from central.learn.ssl.geometry import by_clip, coarser

PAST = 3
"""Frames that are seen; the next one is predicted."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which level, and how much motion counts."""

    level: Annotated[int, Meta(ge=0, le=2)] = 0
    """Of the neck: 0, 1, 2 at strides 8, 16, 32."""
    weight: Annotated[float, Meta(ge=1, le=1000)] = 10.0
    """Of a cell in which something moves, against 1 of one in which nothing does."""


class Recurrent(nn.Module):
    """A gated recurrent unit of convolutions (ConvGRU): memory and map ``[B, C, h, w]`` -> memory."""

    def __init__(self, channels: int, kernel: int = 5) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 2 * channels, kernel, padding=kernel // 2)
        self.candidate = nn.Conv2d(2 * channels, channels, kernel, padding=kernel // 2)

    def forward(self, memory: Tensor, seen: Tensor) -> Tensor:
        keep, reset = torch.sigmoid(self.gates(torch.cat((memory, seen), 1))).chunk(2, 1)
        new = torch.tanh(self.candidate(torch.cat((reset * memory, seen), 1)))
        return keep * memory + (1 - keep) * new


def standard(features: Tensor) -> Tensor:
    """Return `features` ``[B, C, h, w]`` with mean 0 and deviation 1 per channel, over batch and places.

    What all cells share would make any two of them alike.
    """
    features = features.float()
    mean = features.mean((0, 2, 3), keepdim=True)
    return (features - mean) / (features.var((0, 2, 3), keepdim=True) + 1e-5).sqrt()


def apart(prediction: Tensor, target: Tensor, moving: Tensor, weight: float) -> Tensor:
    """Return the mean of 1 - cos of cells ``[B, C, h, w]``, `weight` times heavier where `moving` ``[B, 1, h, w]``."""
    weights = 1 + (weight - 1) * moving[:, 0].float()
    return ((1 - F.cosine_similarity(prediction, target, dim=1)) * weights).sum() / weights.sum()


def only(moving: Tensor) -> Tensor:
    """Return weights ``[B, 1, h, w]`` of nothing but what moves; all cells alike where nothing does."""
    return moving.float() if moving.any() else torch.ones_like(moving, dtype=torch.float32)


class Future(Pretext):
    """The last of four frames from the three before it."""

    name = "future"
    needs = Needs(clip=PAST + 1, pace=0.2)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.memory = Recurrent(shape.neck)
        last = nn.Conv2d(shape.neck, shape.neck, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.change = nn.Sequential(nn.Conv2d(2 * shape.neck, shape.neck, 3, padding=1), nn.ReLU(), last)
        self._moving = self._copied = 0.0

    def predicted(self, past: Tensor) -> Tensor:
        """Return what the maps `past` ``[B, T, C, h, w]`` lead to next, at first a copy: ``[B, C, h, w]``."""
        memory = torch.zeros_like(past[:, 0])
        for seen in past.unbind(1):
            memory = self.memory(memory, seen)
        last = past[:, -1]
        next_: Tensor = last + self.change(torch.cat((memory, last), 1))
        return next_

    def maps(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return what student and teacher see of the clips: both ``[B, T, C, h, w]``."""
        level, count = self.options.level, len(scene.batch.frame)
        student, teacher = scene.student("clip").levels[level], scene.teacher("clip").levels[level]
        return by_clip(student, count), by_clip(teacher, count)

    @staticmethod
    def moving(scene: Scene, size: tuple[int, ...]) -> Tensor:
        """Return where something moves in the last frame seen or the one predicted: bool ``[B, 1, *size]``."""
        if scene.batch.moving is None:
            raise PretextError("pretext 'future': needs to be told what moves in its clips")
        return coarser(scene.batch.moving, size)[:, PAST - 1 : PAST + 1].any(1)

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the weighted mean of 1 - cos, 0..2."""
        mine, theirs = self.maps(scene)
        prediction, target = standard(self.predicted(mine[:, :PAST])), standard(theirs[:, PAST])
        moving = self.moving(scene, target.shape[2:])
        with torch.no_grad():
            self._watch(prediction, standard(theirs[:, PAST - 1]), target, moving)
        return apart(prediction, target, moving, self.options.weight)

    def _watch(self, prediction: Tensor, copy: Tensor, target: Tensor, moving: Tensor) -> None:
        weights = only(moving)[:, 0]
        for name, guess in (("_moving", prediction), ("_copied", copy)):
            error = 1 - F.cosine_similarity(guess, target, dim=1)
            setattr(self, name, float((error * weights).sum() / weights.sum()))

    def watched(self) -> dict[str, float]:
        """Return 1 - cos where something moves, of the prediction and of a copy of the last frame."""
        return {"future_moving": self._moving, "future_copied": self._copied}


PRETEXT = Future
