"""Overlaps of boxes in torch. Boxes are xyxy."""

from __future__ import annotations

import torch
from torch import Tensor


def iou(first: Tensor, second: Tensor, generalised: bool = False) -> Tensor:
    """Return the IoU ``[...]`` of boxes ``[..., 4]`` that broadcast; `generalised` is GIoU (Rezatofighi et al., CVPR
    2019), -1..1, which has a slope where boxes do not touch."""
    corner = torch.maximum(first[..., :2], second[..., :2])
    inner = (torch.minimum(first[..., 2:], second[..., 2:]) - corner).clamp_min(0).prod(-1)
    area_first = (first[..., 2:] - first[..., :2]).clamp_min(0).prod(-1)
    area_second = (second[..., 2:] - second[..., :2]).clamp_min(0).prod(-1)
    union = (area_first + area_second - inner).clamp_min(1e-6)
    overlap = inner / union
    if not generalised:
        return overlap
    hull = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    outer = hull.clamp_min(0).prod(-1).clamp_min(1e-6)
    return overlap - (outer - union) / outer
