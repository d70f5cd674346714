"""Which cells learn which boxes: dynamic-k assignment by the current predictions.

As in OTA/SimOTA (Ge et al., CVPR 2021) and NanoDet-Plus: cells near the middle of a box compete for it by class and
overlap cost; a box gets as many cells as its best overlaps sum up to. Vectorised over the batch.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from central.learn.detect.boxes import iou

RADIUS: Final = 2.5
"""Strides around the centre of a box within which cells are candidates."""
CANDIDATES: Final = 10
"""Best overlaps that are summed for the number of cells of a box."""
OVERLAP_COST: Final = 3.0
FAR: Final = 1e5
"""Cost of a cell that is no candidate; larger than any real cost."""


class Assignment(NamedTuple):
    """matched ``[B, A]``: the box that the cell learns, -1 if none; overlap ``[B, A]``: IoU with it, else 0."""

    matched: Tensor
    overlap: Tensor


@torch.no_grad()
def assign(
    logits: Tensor, predicted: Tensor, centres: Tensor, strides: Tensor, boxes: Tensor, classes: Tensor
) -> Assignment:
    """Assign cells to boxes.

    logits ``[B, A, C]``, predicted boxes ``[B, A, 4]``, centres ``[A, 2]``, strides ``[A]``, boxes ``[B, M, 4]``,
    classes ``[B, M]`` with -1 for padding. All boxes xyxy in input pixels.
    """
    real = classes >= 0
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    offset = (centres[None, None] - middle[:, :, None]).abs()
    near = (offset < RADIUS * strides[None, None, :, None]).all(-1)
    inside = ((centres[None, None] > boxes[:, :, None, :2]) & (centres[None, None] < boxes[:, :, None, 2:])).all(-1)
    candidate = (near | inside) & real.unsqueeze(-1)
    overlap = iou(boxes[:, :, None], predicted[:, None]) * candidate
    target = classes.clamp_min(0).unsqueeze(-1).expand(-1, -1, logits.shape[1])
    logit = logits.transpose(1, 2).gather(1, target)
    probability = logit.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logit, overlap, reduction="none")
    cost = entropy * (overlap - probability).abs() ** 2 - OVERLAP_COST * (overlap + 1e-7).log()
    # Cells near the middle come first; those merely inside a large box are a last resort.
    cost = cost + 100.0 * (~(near & inside)) + FAR * (~candidate)
    count = min(CANDIDATES, overlap.shape[2])
    wanted = overlap.topk(count, dim=2).values.sum(2).int().clamp_min(1)
    cheapest = cost.topk(count, dim=2, largest=False)
    rank = torch.arange(count, device=cost.device)
    chosen = (rank < wanted.unsqueeze(-1)) & (cheapest.values < FAR) & real.unsqueeze(-1)
    match = torch.zeros_like(candidate).scatter_(2, cheapest.indices, chosen)
    best = torch.where(match, cost, torch.full_like(cost, 2 * FAR)).min(1)
    matched = torch.where(match.any(1), best.indices, torch.full_like(best.indices, -1))
    found = overlap.gather(1, matched.clamp_min(0).unsqueeze(1)).squeeze(1) * (matched >= 0)
    return Assignment(matched, found)
