"""Losses of the field, of tensors alone. N, B: rows; D: dimensions; temperatures are dimensionless."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

FLAT: Final = 1e-6
"""Variance that is added before a division: of pixels 0..1 a hundredth of the smallest step, squared."""


def nt_xent(first: Tensor, second: Tensor, temperature: float, frame: Tensor | None = None) -> Tensor:
    """Return how badly each of 2B views finds its partner among all others: SimCLR (Chen et al., ICML 2020, eq. 1).

    `first` and `second` are ``[B, D]``. Views of one `frame` ``[B]`` do not count against each other.
    """
    rows = F.normalize(torch.cat((first, second)), dim=1)
    logits = rows @ rows.T / temperature
    own = torch.arange(len(first), device=rows.device)
    frame = own if frame is None else frame
    same = (frame[:, None] == frame).repeat(2, 2)
    partner = torch.cat((own + len(first), own))
    keep = F.one_hot(partner, len(rows)).bool()
    return F.cross_entropy(logits.masked_fill(same & ~keep, float("-inf")), partner)


def info_nce(
    queries: Tensor, keys: Tensor, others: Tensor, temperature: float, against: Tensor | None = None
) -> Tensor:
    """Return how badly queries find their keys (both ``[N, D]``) among `others` ``[M, D]`` (van den Oord et al., 2018).

    `against` ``[N, M]`` tells which of the others count. No gradient flows into keys and others.
    """
    queries, keys = F.normalize(queries, dim=1), F.normalize(keys.detach(), dim=1)
    negative = queries @ F.normalize(others.detach(), dim=1).T
    if against is not None:
        negative = negative.masked_fill(~against, float("-inf"))
    logits = torch.cat(((queries * keys).sum(1, keepdim=True), negative), 1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(queries), dtype=torch.long, device=queries.device))


def self_distillation(student: Tensor, teacher: Tensor, centre: Tensor, sharp: float, soft: float) -> Tensor:
    """Return the cross-entropy of `student` under `teacher` (both ``[B, D]`` logits): DINO (Caron et al., 2021, eq. 2).

    The teacher's are centred by `centre` ``[D]`` and sharpened by the temperature `sharp`; `soft` is the student's.
    """
    wanted = ((teacher.detach() - centre) / sharp).softmax(1)
    return -(wanted * (student / soft).log_softmax(1)).sum(1).mean()


def patches(images: Tensor, side: int) -> Tensor:
    """Return the patches of ``[B, C, H, W]`` as ``[B, H/side, W/side, C * side * side]``."""
    b, c, h, w = images.shape
    return images.reshape(b, c, h // side, side, w // side, side).permute(0, 2, 4, 1, 3, 5).flatten(3)


def normalised(rows: Tensor) -> Tensor:
    """Return `rows` ``[..., D]``, each of mean 0 and variance 1 (0 where it does not vary)."""
    mean, variance = rows.mean(-1, keepdim=True), rows.var(-1, keepdim=True, unbiased=False)
    return (rows - mean) / (variance + FLAT).sqrt()


def masked_error(predicted: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Return the mean squared error of ``[B, h, w, D]`` over the cells `where` ``[B, h, w]`` (bool)."""
    error = (predicted - target).square().mean(-1)
    return (error * where).sum() / where.sum().clamp_min(1)
