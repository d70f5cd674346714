"""Trunk and pretexts as one module; the teacher is a moving average of the whole of it."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from central.learn.ssl import Needs, Pretext, Shape, Trunk, make
from central.learn.ssl.config import SslConfig


class Learner(nn.Module):
    """All that learns."""

    def __init__(self, config: SslConfig) -> None:
        super().__init__()
        self.trunk = Trunk(config.model)
        shape = Shape.of(config.model, config.model.height, config.model.width)
        self.pretexts = nn.ModuleDict(
            {name: make(name, shape, config.options.get(name)) for name in sorted(config.pretexts)}
        )

    def named(self) -> list[tuple[str, Pretext]]:
        """Return the pretexts by name."""
        return [(name, cast(Pretext, pretext)) for name, pretext in self.pretexts.items()]

    def needs(self) -> Needs:
        """Return what all pretexts together need."""
        needs = Needs()
        for _, pretext in self.named():
            needs = needs | pretext.needs
        return needs


def teacher_of(student: Learner) -> Learner:
    """Return a copy of `student` that no gradient reaches."""
    teacher = copy.deepcopy(student)
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher


@torch.no_grad()
def follow(teacher: Learner, student: Learner, momentum: float) -> None:
    """Move the weights and norms of `teacher` towards those of `student`.

    Buffers that are not those of a norm (queues, centres) belong to the student alone; the teacher gets a copy.
    """
    mine, theirs = dict(teacher.named_parameters()), dict(student.named_parameters())
    floats, wanted = list(mine.values()), [theirs[name].detach() for name in mine]
    moving = {f"{n}.{b}" for n, m in student.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
              for b in ("running_mean", "running_var")}  # fmt: skip
    fresh = dict(student.named_buffers())
    for name, buffer in teacher.named_buffers():
        if name in moving:
            floats.append(cast(nn.Parameter, buffer))
            wanted.append(fresh[name])
        else:
            buffer.copy_(fresh[name])
    torch._foreach_lerp_(cast(list[Tensor], floats), wanted, 1 - momentum)


def norms(module: nn.Module) -> list[Tensor]:
    """Return the running statistics of all batch norms in `module`."""
    return [
        buffer
        for norm in module.modules()
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None
        for buffer in (norm.running_mean, norm.running_var)
        if buffer is not None
    ]
