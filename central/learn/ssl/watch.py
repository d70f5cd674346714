"""Whether a run still tells frames apart: what has collapsed answers the same to everything, at a splendid loss.

    projections of each pretext -> standard deviation per dimension, against that of points spread over the sphere
    features of the trunk -> effective rank (Roy and Vetterli, EUSIPCO 2007)
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.ssl.learner import Learner

LEAST: Final = 0.5
"""Share of 1/sqrt(d), which points spread evenly have; below it a projection has collapsed or is about to."""
LEAST_RANK: Final = 4.0
"""Directions that features must use, or there is nothing to tell scenes apart by."""
KEPT: Final = 16
"""Batches that a rank is measured over."""


def spread(points: Tensor) -> float:
    """Return the mean standard deviation per dimension of unit vectors along `points` ``[N, d]``, times sqrt(d)."""
    flat = F.normalize(points.detach().float().reshape(-1, points.shape[-1]), dim=1)
    return float(flat.std(0, unbiased=False).mean()) * math.sqrt(flat.shape[1])


def effective_rank(points: Tensor) -> float:
    """Return e to the entropy of the singular values of `points` ``[N, d]``, their mean taken off: 1..d."""
    values = torch.linalg.svdvals(points.float() - points.float().mean(0))
    share = values / values.sum().clamp_min(1e-12)
    return float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))


class Watch:
    """Looks over the shoulder of a learner."""

    def __init__(self, learner: Learner) -> None:
        self.projections: dict[str, Tensor] = {}
        self.features: deque[Tensor] = deque(maxlen=KEPT)
        self.warned: set[str] = set()
        for name, pretext in learner.named():
            head = getattr(pretext, "project", None)
            if isinstance(head, nn.Module):
                head.register_forward_hook(self._keeper(name))

    def _keeper(self, name: str) -> Any:
        def keep(_: nn.Module, __: Any, out: Any) -> None:
            if isinstance(out, Tensor) and out.requires_grad:
                self.projections[name] = out.detach()

        return keep

    def see(self, features: Tensor) -> None:
        """Take note of the deepest features ``[B, C, h, w]`` of a batch."""
        self.features.append(features.detach().float().mean((2, 3)).cpu())

    def look(self) -> dict[str, float]:
        """Return ``spread.NAME`` for each pretext that projects, and ``rank`` of the features."""
        row = {}
        for name, points in self.projections.items():
            if points.ndim == 4:
                points = points.permute(0, 2, 3, 1)
            if points.reshape(-1, points.shape[-1]).shape[0] > 1:
                row[f"spread.{name}"] = spread(points)
        if self.features:
            row["rank"] = effective_rank(torch.cat(list(self.features)))
        return row

    def warnings(self, row: dict[str, Any]) -> list[str]:
        """Return what is wrong with `row` and was not said before."""
        found = []
        for name, value in row.items():
            if name in self.warned:
                continue
            if name.startswith("spread.") and value < LEAST:
                found.append(
                    f"step {row['step']}: {name.removeprefix('spread.')} has collapsed or is about to "
                    f"(spread {value:.2f}, {LEAST} is the least): try a lower rate, larger batches, other frames"
                )
                self.warned.add(name)
            elif name == "rank" and value < LEAST_RANK:
                found.append(
                    f"step {row['step']}: the features use {value:.1f} directions, {LEAST_RANK:.0f} is the least: "
                    "the frames are too alike, or the rate is too high"
                )
                self.warned.add(name)
        return found
