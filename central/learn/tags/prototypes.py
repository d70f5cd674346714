"""What the images that are known to have a tag look like: k-means centres, or the latest of them."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

ROUNDS: Final = 10
"""Of Lloyd's algorithm: assignments hardly change after."""


def kmeans(points: Tensor, count: int, generator: torch.Generator, rounds: int = ROUNDS) -> Tensor:
    """Return `count` centres ``[K, D]`` of `points` ``[N, D]``, begun by k-means++. Too few points repeat."""
    if len(points) <= count:
        return points[torch.arange(count) % len(points)].clone()
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    nearest = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count:
        odds = nearest if float(nearest.sum()) > 0 else torch.ones_like(nearest)
        chosen.append(int(torch.multinomial(odds, 1, generator=generator)))
        nearest = torch.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1))
    centres = points[chosen].clone()
    for _ in range(rounds):
        own = torch.cdist(points, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, own, points)
        sizes = torch.bincount(own, minlength=count).unsqueeze(1)
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    return centres


def of_classes(features: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the centres ``[C, K, D]`` of the known present cells of features ``[N, C, D]``, and which classes have any
    ``[C]``; the others' centres are 0."""
    classes, width = features.shape[1:]
    centres = torch.zeros(classes, count, width)
    some = (labels > 0).any(0)
    for c in torch.nonzero(some).flatten().tolist():
        centres[c] = kmeans(features[labels[:, c] > 0, c], count, generator)
    return centres, some


def nearness(features: Tensor, centres: Tensor) -> Tensor:
    """Return q ``[B, C]``: the mean cosine of features ``[B, C, D]`` to the centres ``[C, K, D]`` of their class."""
    # The mean of cosines is the cosine with the mean of unit vectors: one product instead of K.
    middle = F.normalize(centres, dim=2).mean(1)
    return (F.normalize(features, dim=2) * middle).sum(2)


class Memory:
    """The latest features of known present cells, `size` per class."""

    def __init__(self, classes: int, width: int, size: int) -> None:
        self.rows = torch.zeros(classes, size, width)
        self.filled = torch.zeros(classes, dtype=torch.long)
        self._next = torch.zeros(classes, dtype=torch.long)

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Keep the known present cells of features ``[B, C, D]``, the oldest going first."""
        size = self.rows.shape[1]
        for image, c in torch.nonzero(labels > 0).tolist():
            self.rows[c, self._next[c]] = features[image, c].detach()
            self._next[c] = (self._next[c] + 1) % size
            self.filled[c] = min(size, int(self.filled[c]) + 1)

    def nearness(self, features: Tensor) -> Tensor:
        """Return the mean cosine ``[B, C]`` of features ``[B, C, D]`` to what is kept of their class; 0 for none."""
        middle = F.normalize(self.rows, dim=2).sum(1) / self.filled.clamp_min(1).unsqueeze(1)
        return (F.normalize(features, dim=2) * middle).sum(2)
