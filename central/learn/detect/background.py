"""Negatives for classes that no image was looked through for: what the network itself is sure is background.

A class that a region is not complete for contributes no negatives. Where that holds for every image, nothing would
keep such a class from being found everywhere, so a run then lets the network say what is background, as it lets a
machine propose boxes, and weighs it less than a person's word. Confident cells, which may be objects that nobody
labelled, stay out (Zhang et al., background recalibration loss, ICASSP 2020), except on labelled objects: those cells
are known (Wu et al., soft sampling, BMVC 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from central.learn.data import Example
from central.learn.data.dataset import Batch

SURE: Final = 0.15
"""Score under which a cell is background. With half of the boxes missing, an object that is sometimes an example and
sometimes a counter-example settles at about a third."""


def need(examples: Sequence[Example], shares: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``[C]``, 0..1: how often the images drawn by `shares` are not complete for a class."""
    complete = np.stack([e.complete for e in examples]).astype(np.float64)
    return np.asarray(1.0 - (shares[:, None] * complete).sum(0) / shares.sum(), np.float32)


@torch.no_grad()
def background(logits: Tensor, batch: Batch, centres: Tensor) -> Tensor:
    """Return ``[B, A, C]``, 0 or 1: where the class scores of `logits` say that nothing is there.

    centres ``[A, 2]``, input pixels. Cells inside a labelled box count for every class whatever their score.
    """
    real = (batch.classes >= 0)[:, :, None]
    low, high = batch.boxes[:, :, None, :2], batch.boxes[:, :, None, 2:]
    explained = (((centres > low) & (centres < high)).all(-1) & real).any(1)
    return ((logits.sigmoid() < SURE) | explained.unsqueeze(-1)).float()
