"""Making a score mean what it says: a tag of 0.8 should be there four times in five.

Platt scaling (1999) with one slope and one offset for all tags, fitted on images that were held back, with Platt's own
targets and a pull towards the identity, as there may be few. It moves no image past another, so AP stays as it is.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from central.learn.models.semantic import SemanticTagHead

STEPS: Final = 100
PULL: Final = 2.0
"""Cells that the identity counts for."""
ENOUGH: Final = 20
"""Known cells of either kind below which scores stay as they are."""


def platt(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return slope (above 0) and offset that fit logits ``[N, C]`` to the known of `labels` ``[N, C]`` (1, -1, 0)."""
    present, absent = int((labels > 0).sum()), int((labels < 0).sum())
    if min(present, absent) < ENOUGH:
        return 1.0, 0.0
    known = labels != 0
    high, low = (present + 1) / (present + 2), 1 / (absent + 2)
    target = torch.where(labels[known] > 0, high, low)
    given = logits[known].detach()
    log_slope, offset = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    solver = torch.optim.LBFGS([log_slope, offset], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        fitted = F.binary_cross_entropy_with_logits(log_slope.exp() * given + offset, target)
        total: Tensor = fitted + PULL / len(given) * (log_slope**2 + offset**2)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    return float(log_slope.detach().exp()), float(offset.detach())


@torch.no_grad()
def apply(head: SemanticTagHead, slope: float, offset: float) -> None:
    """Make the logits of `head` `slope` times what they are, plus `offset`."""
    head.classes.mul_(slope)
    head.bias.mul_(slope).add_(offset)


def error(logits: Tensor, labels: Tensor, parts: int = 10) -> float:
    """Return the expected calibration error 0..1 on the known cells, in `parts` parts of the score."""
    known = labels != 0
    score, present = logits[known].sigmoid(), (labels[known] > 0).float()
    place = (score * parts).long().clamp_max(parts - 1)
    count = torch.bincount(place, minlength=parts).clamp_min(1)
    gap = torch.bincount(place, score, minlength=parts) - torch.bincount(place, present, minlength=parts)
    return float((gap.abs() / count * torch.bincount(place, minlength=parts)).sum() / max(1, len(score)))
