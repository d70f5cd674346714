"""The tag head of semantic transfer, as a pack has it: where each tag looks, what it tells the others, how it scores.

    features -> project -> per tag: attention over places, weighted mean -> label graph, T steps -> score

Semantic decoupling and gated label graph of SSGRL (Chen et al., ICCV 2019) as HST uses them (IJCV 2024, arXiv
2205.11131). Word vectors enter as one `query` row per tag, and two linear layers in a row as one vector `attend`:
training folds them, so that the graph on a node is cheap. Every weight is a convolution's or a plain table, and keeps
its name through the export.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from central.learn.models.blocks import Conv

STEPS: Final = 3
"""Steps of the label graph, as in the paper."""


class GatedGraph(nn.Module):
    """Gated graph network over tags (Li et al., ICLR 2016): states ``[B, D, T]`` -> ``[B, D, T]``."""

    adjacency: Tensor

    def __init__(self, width: int, tags: int, steps: int = STEPS) -> None:
        super().__init__()
        self.steps = steps
        self.register_buffer("adjacency", torch.zeros(tags, tags))
        """``[T, T]``: row i is the share of the known images with tag i that are known to have tag j."""
        self.told = nn.Conv1d(2 * width, 3 * width, 1)
        """Of what neighbours tell: update gate, reset gate, candidate."""
        self.own = nn.Conv1d(width, 2 * width, 1, bias=False)
        """Of the own state: update gate, reset gate."""
        self.kept = nn.Conv1d(width, width, 1, bias=False)

    def forward(self, state: Tensor) -> Tensor:
        """a = [A h; A' h]; z, r = s(W a + U h); c = tanh(W a + U (r h)); h <- (1 - z) h + z c, `steps` times."""
        outward, inward = self.adjacency.t(), self.adjacency
        for _ in range(self.steps):
            told = self.told(torch.cat((state @ outward, state @ inward), 1))
            update_told, reset_told, candidate = told.chunk(3, 1)
            update_own, reset_own = self.own(state).chunk(2, 1)
            update = (update_told + update_own).sigmoid()
            reset = (reset_told + reset_own).sigmoid()
            state = (1 - update) * state + update * (candidate + self.kept(reset * state)).tanh()
        return state


class SemanticTagHead(nn.Module):
    """Stride-32 features ``[B, c, h, w]`` -> tag logits ``[B, T]``."""

    def __init__(self, channels: int, tags: int, width: int, attention: int, steps: int = STEPS) -> None:
        super().__init__()
        self.project = Conv(channels, width, act=False)
        self.key = nn.Conv2d(width, attention, 1, bias=False)
        self.query = nn.Parameter(torch.randn(tags, attention, 1) * attention**-0.5)
        """``[T, d, 1]``: what each tag looks for."""
        self.attend = nn.Parameter(torch.randn(1, attention) * attention**-0.5)
        """``[1, d]``: from a match to its weight."""
        self.graph = GatedGraph(width, tags, steps)
        self.merge = nn.Conv1d(2 * width, width, 1)
        self.classes = nn.Parameter(torch.randn(tags, width) * width**-0.5)
        """``[T, D]``: one classifier per tag."""
        self.bias = nn.Parameter(torch.zeros(tags))

    def decouple(self, x: Tensor, query: Tensor, attend: Tensor) -> Tensor:
        """Return the features of each tag ``[B, D, T]``: places of ``[B, c, h, w]``, weighted."""
        x = self.project(x)
        match = (self.key(x).flatten(2).unsqueeze(1) * query).tanh()  # [B, T, d, R]
        weight = (attend @ match).squeeze(2).softmax(-1)  # [B, T, R]
        found: Tensor = x.flatten(2) @ weight.transpose(1, 2)
        return found

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits ``[B, T]`` of tag features ``[B, D, T]``."""
        state = self.graph(features)
        out = self.merge(torch.cat((state, features), 1)).tanh()
        logits: Tensor = (out.transpose(1, 2) * self.classes).sum(2) + self.bias
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.decouple(x, self.query, self.attend))
