"""Multiple-instance heads on the features of boxes: which boxes of an image are what its tags say is there.

    x [N, D] -> hidden -> two streams: softmax over classes * softmax over boxes -> summed over boxes: image score
                       -> K refinements: softmax over classes and background, each taught by the one before
                       -> sides: how far the box is off, in sides of the box

Two streams: WSDDN (Bilen and Vedaldi, CVPR 2016). Refinement: OICR (Tang et al., CVPR 2017), equations 3 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.discover.seeds import Member
from edge.runtime import Float
from edge.runtime.nms import overlaps

STAGES: Final = 3
HIDDEN: Final = 256
FRONT: Final = 0.5
"""IoU with a seed from which a box shows the same object."""
BACK: Final = 0.1
"""IoU below which a box says nothing: it may hold another object."""
TRUST: Final = 4.0
"""Of whoever found the boxes: how much the rank of a box counts for where a class is, in nats per factor e."""
LARGEST_STEP: Final = 0.5
"""Side, in sides of the box, by which the regression moves at most: beyond it the box was of something else."""
TINY: Final = 1e-6


class Said(NamedTuple):
    """What the heads make of one image's N boxes."""

    both: Tensor
    """``[N, C]``: the product of the two streams."""
    classes: Tensor
    """``[N, C]``: softmax over classes."""
    places: Tensor
    """``[N, C]``: softmax over boxes."""
    stages: tuple[Tensor, ...]
    """Logits ``[N, C + 1]`` of each refinement; the last column is background."""
    sides: Tensor
    """``[N, 4]``: x1, y1, x2, y2, in sides of the box."""

    @property
    def image(self) -> Tensor:
        """The score of each class on the image, ``[C]``, 0..1."""
        return self.both.sum(0).clamp(0, 1)


class Heads(nn.Module):
    """The heads. `dimensions` are those of the features, `maps` the classes of the trunk's class maps (0: none)."""

    def __init__(
        self, dimensions: int, classes: int, maps: int = 0, hidden: int = HIDDEN, stages: int = STAGES,
        trust: float = TRUST,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes_count, self.maps, self.trust = classes, maps, trust
        self.hidden = nn.Linear(dimensions + 2 * maps, hidden)
        self.drop = nn.Dropout(0.3)
        self.what = nn.Linear(hidden, classes)
        self.where = nn.Linear(hidden, classes)
        self.refine = nn.ModuleList(nn.Linear(hidden, classes + 1) for _ in range(stages))
        self.sides = nn.Linear(hidden, 4)
        nn.init.zeros_(self.sides.weight)
        nn.init.zeros_(self.sides.bias)

    def forward(self, features: Tensor, activations: Tensor, scores: Tensor, counts: Sequence[int]) -> list[Said]:
        """Return what is said of images with `counts` boxes each: features ``[N, D]``, activations ``[N, 2, maps]``,
        scores ``[N]`` 0..1 of whoever found the boxes, which where-to-look starts from (as in WSDDN, section 3.4)."""
        x = self.drop(F.relu(self.hidden(torch.cat((features, activations.flatten(1)), 1))))
        what, sides = self.what(x), self.sides(x)
        where = self.where(x) + self.trust * scores.clamp_min(TINY).log().unsqueeze(1)
        stages = [stage(x) for stage in self.refine]
        found, start = [], 0
        for count in counts:
            own = slice(start, start + count)
            classes, places = what[own].softmax(1), where[own].softmax(0)
            found.append(Said(classes * places, classes, places, tuple(s[own] for s in stages), sides[own]))
            start += count
        return found


def image_loss(score: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the cross entropy of image scores ``[C]`` (0..1) with labels ``[C]`` (1, -1, 0), summed over known ones.

    Tags that are unknown (0) contribute nothing; `weights` ``[C]`` 0..1 say how sure each label is.
    """
    known = (labels != 0).float() if weights is None else weights * (labels != 0)
    loss = F.binary_cross_entropy(score.clamp(TINY, 1 - TINY), (labels > 0).float(), reduction="none")
    return (loss * known).sum()


class Targets(NamedTuple):
    """What a refinement learns on N boxes: labels ``[N]`` (C is background), weights ``[N]`` 0..1, and the boxes
    ``[N, 4]`` that those of an object should be, where `front` ``[N]`` says so."""

    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    boxes: Float
    front: NDArray[np.bool_]


def targets(
    scores: Float, boxes: Float, overlap: Float, labels: NDArray[np.int8], seeds: Member,
    sure: NDArray[np.float32] | None = None,
) -> Targets:  # fmt: skip
    """Return what the scores ``[N, C]`` of the stage before teach, by the seeds of each class that is present.

    A class that is absent or unknown (labels ``[C]``: -1, 0) teaches nothing. Where all are known to be absent, all
    boxes are background. `sure` ``[C]`` 0..1: how much the label of each class counts.
    """
    count, classes = len(boxes), len(labels)
    found = Targets(
        np.full(count, classes, np.int64), np.zeros(count, np.float32), boxes.copy(), np.zeros(count, bool)
    )
    if (labels < 0).all():
        found.weights[:] = 1.0
        return found
    nearest = np.zeros(count, np.float32)
    for label in np.flatnonzero(labels > 0):
        for seed in seeds.choose(scores[:, label], overlap):
            weight = float(scores[seed, label]) * (1.0 if sure is None else float(sure[label]))
            mine = overlap[:, seed] > nearest
            nearest[mine] = overlap[mine, seed]
            front = mine & (overlap[:, seed] >= FRONT)
            found.labels[mine] = np.where(front, label, classes)[mine]
            found.front[mine] = front[mine]
            found.weights[mine] = np.where(overlap[:, seed] >= BACK, weight, 0.0)[mine]
            found.boxes[front] = boxes[seed]
    return found


def of_boxes(boxes: Float, true: Float, classes: NDArray[np.int64], weights: Float, labels: int) -> Targets:
    """Return what boxes ``[M, 4]`` that a person (or a machine, at its weight) drew teach on `boxes` ``[N, 4]``.

    Every class was looked for: what overlaps none of them is background.
    """
    if not len(true):
        ones = np.ones(len(boxes), np.float32)
        return Targets(np.full(len(boxes), labels, np.int64), ones, boxes.copy(), np.zeros(len(boxes), bool))
    overlap = overlaps(boxes, true)
    best, most = overlap.argmax(1), overlap.max(1)
    front = most >= FRONT
    return Targets(np.where(front, classes[best], labels), np.where(front, weights[best], 1.0), true[best], front)


def refine_loss(logits: Tensor, wanted: Targets) -> Tensor:
    """Return the weighted cross entropy of one refinement, the mean over N boxes (OICR, equation 4)."""
    loss = F.cross_entropy(logits, torch.from_numpy(wanted.labels), reduction="none")
    return (loss * torch.from_numpy(wanted.weights)).sum() / max(1, len(wanted.labels))


def offsets(boxes: Float, wanted: Float) -> Float:
    """Return how far `boxes` ``[N, 4]`` are from `wanted` ``[N, 4]``, in their own sides, within LARGEST_STEP."""
    size = np.tile(np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3), 2)
    return np.asarray(((wanted - boxes) / size).clip(-LARGEST_STEP, LARGEST_STEP), np.float32)


def moved(boxes: Float, sides: Float) -> Float:
    """Return `boxes` ``[N, 4]`` with their sides moved by `sides` ``[N, 4]``; they stay boxes."""
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    found = boxes + sides.clip(-LARGEST_STEP, LARGEST_STEP) * size
    return np.asarray(np.concatenate([found[:, :2], np.maximum(found[:, 2:], found[:, :2] + 1e-3)], 1), np.float32)


def sides_loss(sides: Tensor, boxes: Float, wanted: Targets) -> Tensor:
    """Return the smooth L1 loss of the regression ``[N, 4]`` on boxes of objects, weighted; 0 without any."""
    if not wanted.front.any():
        return sides.sum() * 0
    aim = torch.from_numpy(offsets(boxes, wanted.boxes)[wanted.front])
    weight = torch.from_numpy(wanted.weights[wanted.front])
    loss = F.smooth_l1_loss(sides[torch.from_numpy(wanted.front)], aim, beta=0.1, reduction="none").mean(1)
    return (loss * weight).sum() / max(1, len(boxes))
