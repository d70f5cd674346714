"""The network that learns tags on cached feature maps: the pack's head, with word vectors and pairs of tags beside it.

    map [B, c, h, w] -> semantic decoupling by word vectors -> f [B, C, D] -> label graph -> logits [B, C]
                                                            -> pairs of f -> co-occurrence in this image [B, P]

`fold` turns it into the head that a pack has; both give the same logits.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.semantic import SemanticTagHead
from central.learn.tags.losses import pairs


class Seen(NamedTuple):
    """What the network makes of a batch."""

    logits: Tensor
    """``[B, C]``."""
    features: Tensor
    """``[B, C, D]``: the part of the image that each tag is about."""


class TagNetwork(nn.Module):
    """Semantic decoupling, label graph and classifiers. `words` ``[C, E]`` are word vectors; None: learned."""

    words: Tensor

    def __init__(
        self, channels: int, tags: int, width: int, attention: int, words: Tensor | None, learned: int
    ) -> None:
        super().__init__()
        self.head = SemanticTagHead(channels, tags, width, attention)
        if words is None:
            self.words = nn.Parameter(torch.randn(tags, learned) * learned**-0.5)
        else:
            self.register_buffer("words", words.float())
        size = self.words.shape[1]
        self.from_words = nn.Linear(size, attention, bias=False)
        nn.init.normal_(self.from_words.weight, std=1.0)
        self.mix = nn.Linear(attention, attention, bias=False)
        self.weigh = nn.Linear(attention, 1, bias=False)

    def query(self) -> Tensor:
        """Return what each tag looks for ``[C, d, 1]``."""
        return self.from_words(self.words).unsqueeze(2)  # type: ignore[no-any-return]

    def attend(self) -> Tensor:
        """Return the two layers behind the tanh as the one vector ``[1, d]`` that they are."""
        return self.weigh.weight @ self.mix.weight

    def look(self, maps: Tensor) -> Tensor:
        """Return the tag features ``[B, C, D]`` of maps ``[B, c, h, w]``."""
        return self.head.decouple(maps, self.query(), self.attend()).transpose(1, 2)

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits ``[B, C]`` of tag features ``[B, C, D]``."""
        return self.head.classify(features.transpose(1, 2))

    def forward(self, maps: Tensor) -> Seen:
        features = self.look(maps)
        return Seen(self.classify(features), features)

    @torch.no_grad()
    def fold(self) -> SemanticTagHead:
        """Return its head with the word vectors folded in, as a pack has it."""
        self.head.query.copy_(self.query())
        self.head.attend.copy_(self.attend())
        return self.head


def statistics(labels: Tensor) -> Tensor:
    """Return the label graph ``[C, C]``: of the images known to have tag i, the share known to have tag j as well.

    A tag that no image is known to have has a row of zeros, not of NaN.
    """
    present = (labels > 0).float()
    return (present.t() @ present) / present.sum(0).clamp_min(1).unsqueeze(1)


class PairHead(nn.Module):
    """Intra-image transfer: image-specific co-occurrence of every two tags. ``[B, C, D]`` -> logits ``[B, P]``.

    g = W f; u = [g_i; g_j] -> linear, ReLU -> linear -> one linear per pair. The first layer is applied to its two
    halves before they meet, the last two as the one that they are: the same result at a fraction of work and memory.
    """

    def __init__(self, tags: int, width: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(width, hidden)
        self.first = nn.Linear(hidden, hidden)
        self.second = nn.Linear(hidden, hidden, bias=False)
        self.inner = nn.Linear(hidden, hidden)
        left, right = pairs(tags)
        self.tags, self.left, self.right = tags, left, right
        self.pair = nn.Parameter(torch.randn(len(left), hidden) * hidden**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(left)))

    def forward(self, features: Tensor) -> Tensor:
        reduced = self.reduce(features)
        meet = F.relu(self.first(reduced)[:, self.left] + self.second(reduced)[:, self.right])
        weight = self.pair @ self.inner.weight
        offset = self.pair @ self.inner.bias + self.bias
        return (meet * weight).sum(2) + offset

    def matrix(self, logits: Tensor) -> Tensor:
        """Return the probabilities ``[B, C, C]`` of pair logits: symmetric, 1 on the diagonal."""
        found = torch.eye(self.tags).repeat(len(logits), 1, 1)
        probability = logits.sigmoid()
        found[:, self.left, self.right] = probability
        found[:, self.right, self.left] = probability
        return found


def from_neighbours(matrix: Tensor, labels: Tensor) -> Tensor:
    """Return q ``[B, C]``: the mean co-occurrence ``[B, C, C]`` with the tags that are known present; 0 without any."""
    present = (labels > 0).to(matrix.dtype)
    return (matrix @ present.unsqueeze(2)).squeeze(2) / present.sum(1, keepdim=True).clamp_min(1)
