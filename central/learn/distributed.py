"""Several processes, one training run: ``torchrun --nproc-per-node N -m central.learn.detect ...``, or the workers of
a Ray cluster (`central.jobs.training`).

Each process takes its share of every batch, gradients are averaged, and the first process alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import distributed, nn


class GroupError(ValueError):
    """Processes that cannot train together. The text says why and what to do."""


@dataclass(frozen=True)
class Group:
    """Which of `size` processes this is: `rank` 0..size-1, `local` its number on this machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def device(self) -> torch.device:
        """Return where this process trains."""
        return torch.device("cuda", self.local) if torch.cuda.is_available() else torch.device("cpu")

    def share(self, batch: int) -> int:
        """Return how many samples of a batch are this process's. Raises GroupError where it cannot be divided."""
        if batch % self.size:
            raise GroupError(f"a batch of {batch} cannot be divided among {self.size} processes; choose a multiple")
        return batch // self.size

    def batches(self, length: int, batch: int) -> list[list[int]]:
        """Return the places ``0..length-1`` of this process's samples, batch by batch: no two processes share one."""
        own = self.share(batch)
        return [
            list(range(start + self.rank * own, min(length, start + (self.rank + 1) * own)))
            for start in range(0, length, batch)
        ]

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients of `parameters` by their mean over all processes, in one exchange."""
        if self.size == 1:
            return
        slopes = []
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:  # another process may have one, and all must take the same step
                    parameter.grad = torch.zeros_like(parameter)
                slopes.append(parameter.grad)
        flat = torch.cat([s.reshape(-1) for s in slopes])
        distributed.all_reduce(flat)
        flat /= self.size
        for slope, mean in zip(slopes, torch.split(flat, [s.numel() for s in slopes]), strict=True):
            slope.copy_(mean.view_as(slope))


ALONE: Final = Group()


@contextmanager
def join() -> Iterator[Group]:
    """Yield the group that ``torchrun`` describes in the environment, else `ALONE`; leave it afterwards. One that
    somebody else put together, as Ray Train does, is theirs to leave."""
    if distributed.is_available() and distributed.is_initialized():
        yield Group(distributed.get_rank(), distributed.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
        return
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Group(distributed.get_rank(), size, local)
    finally:
        distributed.destroy_process_group()
