"""What people said of blur pairs, as the blur head learns from it.

    FOLDER/pairs.jsonl, FOLDER/crops/NAME.png  (written by `central.annotate.crops`) -> comparisons -> batches -> loss

The loss is the ranking hinge of Li et al., "Semi-supervised Ranking for Object Image Blur Assessment" (ICIP 2022); a
pair that nobody can tell apart is asked to have scores that hardly differ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from central.learn.data import Pixels
from central.learn.data.dataset import read_image

LIST: Final = "pairs.jsonl"
CROPS: Final = "crops"
SIDE: Final = 128
"""Pixels of the canvas that a crop is laid on as it is; of a larger one its middle is seen: scaling changes blur."""
GREY: Final = 114
MARGIN: Final = 0.1
"""Score by which the sharper one must be lower; of two that cannot be told apart, what they may differ by."""
CELL: Final = 8

Answer = Literal["left", "right", "cant_tell"]


@dataclass(frozen=True)
class Comparison:
    """Two crops, and which one is sharper."""

    left: Path
    right: Path
    answer: Answer


def read(folder: Path) -> list[Comparison]:
    """Return the comparisons below `folder`. Raises ValueError naming the line that is none, OSError."""
    found = []
    for number, line in enumerate((folder / LIST).read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            left, right = (folder / CROPS / f"{Path(str(row[side])).name}.png" for side in ("left", "right"))
            answer: Answer = row["answer"]
        except (json.JSONDecodeError, KeyError, TypeError):
            raise ValueError(f"{folder / LIST}, line {number}: not a comparison; export the pairs again") from None
        if answer not in ("left", "right", "cant_tell"):
            raise ValueError(f"{folder / LIST}, line {number}: the answer is {str(answer)[:40]!r}")
        found.append(Comparison(left, right, answer))
    return found


def canvas(crop: Pixels) -> tuple[Pixels, tuple[int, int, int, int]]:
    """Return `crop` on a grey canvas of SIDE pixels, and the cells ``(top, bottom, left, right)`` that lie in it."""
    height, width = crop.shape[:2]
    top, left = max(0, (height - SIDE) // 2), max(0, (width - SIDE) // 2)
    seen = crop[top : top + SIDE, left : left + SIDE]
    whole = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    whole[: seen.shape[0], : seen.shape[1]] = seen
    return whole, (0, max(1, seen.shape[0] // CELL), 0, max(1, seen.shape[1] // CELL))


def draw(pairs: Sequence[Comparison], count: int, random: Generator) -> tuple[list[Pixels], list[int]]:
    """Return the crops of `count` pairs drawn by chance, left and right in turn, and 1 where the left one is sharper,
    -1 where the right one, 0 where nobody can tell. Pairs whose crops cannot be read are left out."""
    images: list[Pixels] = []
    signs = []
    for place in random.integers(len(pairs), size=count):
        pair = pairs[int(place)]
        both = [read_image(str(path)) for path in (pair.left, pair.right)]
        if both[0] is not None and both[1] is not None:
            images += [both[0], both[1]]
            signs.append({"left": 1, "right": -1, "cant_tell": 0}[pair.answer])
    return images, signs


def pooled(scores: Tensor, cells: Sequence[tuple[int, int, int, int]]) -> Tensor:
    """Return the mean score ``[N]`` of the cells of each crop in ``[N, 1, h, w]``."""
    return torch.stack([scores[i, 0, t:b, x1:x2].mean() for i, (t, b, x1, x2) in enumerate(cells)])


def loss(left: Tensor, right: Tensor, signs: Tensor) -> Tensor:
    """Return the mean hinge over pairs: blur scores ``[N]`` (higher is blurrier), signs ``[N]`` as of `draw`."""
    gap = right - left
    told = F.relu(MARGIN - signs * gap)
    alike = F.relu(gap.abs() - MARGIN)
    return torch.where(signs == 0, alike, told).mean()
