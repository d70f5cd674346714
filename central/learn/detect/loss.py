"""What detection learns from: quality focal, distribution focal and GIoU losses, aware of partial labels.

Generalised focal loss (Li et al., NeurIPS 2020): QFL is equation 4, DFL equation 6. A class that a region is not
complete for contributes no negatives there, and a machine's label counts by its confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from central.learn.data.dataset import Batch
from central.learn.detect.assign import Assignment, assign
from central.learn.detect.background import background
from central.learn.detect.boxes import iou
from central.learn.models.config import BINS
from central.learn.models.network import Raw, mean_sides, to_boxes

FOCUS: Final = 2.0
BOX_WEIGHT: Final = 2.0
SIDES_WEIGHT: Final = 0.25
TAG_WEIGHT: Final = 0.2


class Losses(NamedTuple):
    """Weighted parts of the loss; their sum is what is minimised."""

    classes: Tensor
    boxes: Tensor
    sides: Tensor
    tags: Tensor
    kept: Tensor = torch.zeros(())
    """What a tutor adds: how far the network is from what it said before."""

    def total(self) -> Tensor:
        """Return the sum."""
        return self.classes + self.boxes + self.sides + self.tags + self.kept


def known(batch: Batch, centres: Tensor) -> Tensor:
    """Return the mask ``[B, A, C]`` of cells and classes whose absence of a label means absence of an object."""
    low, high = batch.regions[:, :, None, :2], batch.regions[:, :, None, 2:]
    inside = ((centres[None, None] >= low) & (centres[None, None] < high)).all(-1)
    # Where several regions hold a cell all must be complete; where none does there is only padding.
    doubt = torch.einsum("bra,brc->bac", inside.float(), (~batch.complete).float()) > 0
    return ~doubt


def quality_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Return QFL per element: ``|target - sigmoid|^2`` times the cross entropy with the soft `target` (0..1)."""
    weight = (target - logits.sigmoid()).abs() ** FOCUS
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight


def distribution_focal(sides: Tensor, target: Tensor) -> Tensor:
    """Return DFL ``[...]`` per side: sides ``[..., BINS]`` logits, target ``[...]`` in strides, kept in the support."""
    target = target.clamp(0, BINS - 1 - 1e-3)
    lower = target.long()
    share = target - lower
    flat = sides.reshape(-1, BINS)
    left = F.cross_entropy(flat, lower.reshape(-1), reduction="none").view_as(target)
    right = F.cross_entropy(flat, (lower + 1).reshape(-1), reduction="none").view_as(target)
    return left * (1 - share) + right * share


def detection_loss(
    raw: Raw, batch: Batch, centres: Tensor, strides: Tensor, guess: Tensor | None = None,
    named: tuple[Sequence[int], Sequence[int]] | None = None,
) -> tuple[Losses, Assignment]:  # fmt: skip
    """Return the losses of a batch and the assignment that they used. centres ``[A, 2]`` and strides ``[A]`` in pixels.

    `guess` ``[C]``, 0..1: how much the network's own opinion of what is background counts where a class is not
    complete. Without it, such a class contributes exactly nothing there. `named`: see `tag_loss`.
    """
    logits, sides = raw.logits.float(), raw.sides.float()
    with torch.no_grad():  # where each box is looked for; only the few cells that find one learn from it
        predicted = to_boxes(centres, mean_sides(sides) * strides.unsqueeze(-1))
    found = assign(logits.detach(), predicted, centres, strides, batch.boxes, batch.classes)
    positive = found.matched >= 0
    index = found.matched.clamp_min(0)
    weight = batch.weights.gather(1, index) * positive
    label = batch.classes.gather(1, index)
    target = torch.zeros_like(logits)
    place = positive.nonzero(as_tuple=True)
    target[place[0], place[1], label[place]] = found.overlap[place]
    importance = known(batch, centres).float()
    if guess is not None:
        importance = torch.maximum(importance, guess * background(logits.detach(), batch, centres))
    importance[place[0], place[1], label[place]] = weight[place]
    scale = (found.overlap * weight).sum().clamp_min(1.0)
    classes = (quality_focal(logits, target) * importance).sum() / scale

    wanted = batch.boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))[place]
    share = (found.overlap * weight)[place].clamp_min(0.05 * weight[place])
    centre, stride = centres[place[1]], strides[place[1]].unsqueeze(-1)
    own = to_boxes(centre, mean_sides(sides[place]) * stride)
    boxes = ((1 - iou(own, wanted, generalised=True)) * share).sum() / scale
    distances = torch.cat((centre - wanted[:, :2], wanted[:, 2:] - centre), 1) / stride
    spread = (distribution_focal(sides[place], distances).mean(1) * share).sum() / scale
    tags = TAG_WEIGHT * tag_loss(raw.tags, batch, named)
    return Losses(classes, BOX_WEIGHT * boxes, SIDES_WEIGHT * spread, tags), found


def shared(labels: Sequence[str], tags: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the classes that have a tag of their name, and those tags: indices into `labels` and `tags`."""
    pairs = [(i, tags.index(name)) for i, name in enumerate(labels) if name in tags]
    return [i for i, _ in pairs], [j for _, j in pairs]


def tag_loss(
    tags: Tensor | None, batch: Batch, named: tuple[Sequence[int], Sequence[int]] | None = None
) -> Tensor:
    """Return the cross entropy of the tags that are known: those of classes by the boxes, others as people said.

    `named` are classes and their tags (`shared`); without it the first C tags are the classes in order.
    """
    count = batch.complete.shape[2]
    classes, columns = named if named is not None else (range(count), range(count))
    if tags is None or (len(columns) and tags.shape[1] <= max(columns)):
        return batch.boxes.new_zeros(())
    wanted, told = tags.new_zeros(tags.shape, dtype=torch.float32), torch.zeros_like(tags, dtype=torch.bool)
    if batch.tags.shape == tags.shape:
        wanted, told = (batch.tags > 0).float(), batch.tags != 0
    if not len(columns) and not bool(told.any()):  # nothing of the head may move, not even by weight decay
        return batch.boxes.new_zeros(())
    present = F.one_hot(batch.classes.clamp_min(0), count) * (batch.classes >= 0).unsqueeze(-1)
    present = present.amax(1).float()
    sure = (batch.complete | (batch.regions[..., 2:3] <= batch.regions[..., :1])).all(1) | (present > 0)
    wanted[:, list(columns)], told[:, list(columns)] = present[:, list(classes)], sure[:, list(classes)]
    loss = F.binary_cross_entropy_with_logits(tags.float(), wanted, reduction="none")
    return (loss * told).sum() / told.sum().clamp_min(1)
