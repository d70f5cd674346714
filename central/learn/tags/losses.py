"""The losses of multi-label learning from partial labels, as functions of plain tensors.

Labels y are +1 known present, -1 known absent, 0 unknown. Equations: Chen et al., "Heterogeneous Semantic Transfer for
Multi-label Recognition with Partial Labels" (IJCV 2024, arXiv 2205.11131). Two things differ from what was released
with it: the prototype loss has the sign of the text (present is pulled in, absent pushed away), and thresholds learn
through a smooth step, as a clamp gives them no gradient where they start.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

FOCUS_PRESENT: Final = 1.0
FOCUS_ABSENT: Final = 2.0
MARGIN: Final = 0.05
"""Of the co-occurrence loss: focusing powers of the two sides, and the probability below which absence is free."""


def masked_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of softplus(-y s) over the known cells of ``[B, C]``; 0 where there are none."""
    known = labels != 0
    loss = F.softplus(-labels * logits)
    return torch.where(known, loss, torch.zeros_like(loss)).sum() / known.sum().clamp_min(1)


def asymmetric(
    probability: Tensor, target: Tensor, present: float = FOCUS_PRESENT, absent: float = FOCUS_ABSENT,
    margin: float = MARGIN,
) -> Tensor:  # fmt: skip
    """Return the asymmetric loss of each cell (Ridnik et al., ICCV 2021, eq. 7): focal, negatives shifted by `margin`.

    `probability` 0..1 and `target` 0/1 of one shape.
    """
    shifted = (probability - margin).clamp_min(0)
    positive = target * (1 - probability) ** present * probability.clamp_min(1e-8).log()
    negative = (1 - target) * shifted**absent * (1 - shifted).clamp_min(1e-8).log()
    return -(positive + negative)


def pairs(count: int) -> tuple[Tensor, Tensor]:
    """Return the indices i and j ``[P]`` of the P = C(C-1)/2 pairs i < j, in the order of the co-occurrence logits."""
    found = torch.triu_indices(count, count, 1)
    return found[0], found[1]


def cooccurrence(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the asymmetric loss of pair logits ``[B, P]`` against "both known present"; unknown counts as not."""
    i, j = pairs(labels.shape[1])
    target = ((labels[:, i] > 0) & (labels[:, j] > 0)).float()
    return asymmetric(logits.sigmoid(), target).mean() if len(i) else logits.sum()


def instance_contrast(features: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the contrast between the images of a batch, class by class. features ``[B, C, D]``, labels ``[B, C]``.

    Two images that both have the class: 1 - cos; one or none of them: 1 + cos. Of each of the latter two groups 2 N
    terms by chance and the N largest count, N the number of (+, +) pairs; the mean of all. Unknown cells take no part.
    """
    cosine = _cosines(features)
    a, b = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
    first, second = labels.t()[:, a], labels.t()[:, b]  # [C, pairs]
    near = cosine[:, a, b]
    both = 1 - near[(first > 0) & (second > 0)]
    mixed = 1 + near[first * second < 0]
    neither = 1 + near[(first < 0) & (second < 0)]
    count = len(both)
    parts = [both, *(_mined(group, count, generator) for group in (mixed, neither))]
    terms = torch.cat(parts)
    return terms.mean() if count else features.sum() * 0


def _cosines(features: Tensor) -> Tensor:
    unit = F.normalize(features, dim=2).transpose(0, 1)  # [C, B, D]
    return unit @ unit.transpose(1, 2)


def _mined(terms: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """Return 2 `count` of `terms` by chance and the `count` largest."""
    order = torch.randperm(len(terms), generator=generator)[: 2 * count]
    return torch.cat((terms[order], terms.topk(min(count, len(terms))).values))


def prototype_contrast(near: Tensor, labels: Tensor, has_prototypes: Tensor | None = None) -> Tensor:
    """Return the mean over ``[B, C]`` of 1 - q where known present and 1 + q where known absent, unknown cells being 0.

    `near` q is the mean cosine to the class's prototypes; classes without any (`has_prototypes` ``[C]`` False) take no
    part. Present and identical to its prototypes: 0; opposite: 2.
    """
    known = labels != 0
    if has_prototypes is not None:
        known = known & has_prototypes
    return torch.where(known, 1 - labels * near, torch.zeros_like(near)).mean()


def threshold_loss(quantity: Tensor, threshold: Tensor, labels: Tensor, sharpness: float) -> Tensor:
    """Return the masked cross entropy of the smooth step s((q - threshold) / `sharpness`) on the known cells."""
    return masked_bce((quantity - threshold) / sharpness, labels)
