"""Ranking with few labels: pairs with a known order, and the consistency of the model's own order under a common blur.

    labelled pairs                                      L_ranking
    unlabelled x, all pairs (i, j); the same blur on all of them:
        teacher's order of the originals  -> order of the blurred ones     L_QRC
        x                                 -> blurred x is blurrier         L_anchor
    loss = L_ranking + ramp * (lambda_QRC * L_QRC + lambda_anchor * L_anchor)

Li et al., "Semi-supervised Ranking for Object Image Blur Assessment" (ICIP 2022). Here the teacher is a moving average,
pairs that it hardly tells apart do not count, and the consistency begins once there is an order to be consistent with.
All pairs of a batch are used, at one pass of each image. Without the anchor the consistency has no direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from central.learn.blur import losses
from central.learn.blur.degrade import KERNELS, Picture, compressed
from central.learn.blur.losses import RankLoss
from central.learn.blur.network import TileNetwork
from central.learn.blur.ranked import TILE
from central.learn.ema import Average

MILD: Final = {"gaussian": (0.4, 1.6), "defocus": (0.4, 1.6), "motion": (0.4, 1.2)}
"""Standard deviations, pixels, of the common blur: discs of radius 0.8 to 3.2, lines of 2 to 6. More would hide the
difference that is to be kept: of two blurs, the squares add up."""
LOWER: Final = (1.5, 2.0)
"""Times that the resolution is lowered and raised again, in some batches."""
QUALITY: Final = (45, 95)
"""Of JPEG, in some batches."""
UNSURE: Final = 0.03
"""Difference of the teacher's sigmoid scores under which a pair does not count."""
RAMP: Final = (0.2, 0.5)
"""Shares of the steps at which the consistency begins and at which it counts in full."""
MARGIN: Final = 24
"""Pixels of a region beyond its tile, so that blur is not mirrored at the tile's side."""

Steps = Callable[[int, float], None]


@dataclass(frozen=True)
class Recipe:
    """How to learn. `loss` is a name of `losses`; `consistency` and `anchor` are weights, 0 leaves the term out."""

    loss: str = "ranknet"
    consistency: float = 1.0
    anchor: float = 0.25
    """Little: under noise, a blur takes the noise away as well, and the term then teaches that as blur."""
    steps: int = 700
    pairs: int = 24
    unlabelled: int = 32
    rate: float = 3e-3
    decay: float = 0.999
    warm: float = 100.0
    """Steps over which the teacher's decay grows."""


@dataclass(frozen=True)
class Pairs:
    """Labelled pairs: tiles ``[P, 1, TILE, TILE]`` and order ``[P]``: 1 where the second is blurrier, -1, 0."""

    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    order: NDArray[np.int64]


Common = Callable[[Picture], Picture]


def draw_common(random: Generator) -> Common:
    """Return one mild degradation, the same for every picture it is given."""
    kind = str(random.choice(list(MILD)))
    kernel = KERNELS[kind](float(random.uniform(*MILD[kind])), random)
    lower = float(random.uniform(*LOWER)) if random.random() < 0.25 else 0.0
    quality = int(random.integers(QUALITY[0], QUALITY[1] + 1)) if random.random() < 0.3 else 0

    def degrade(picture: Picture) -> Picture:
        made = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        if lower:
            height, width = picture.shape[:2]
            made = cv2.resize(made, (round(width / lower), round(height / lower)), interpolation=cv2.INTER_AREA)
            made = cv2.resize(made, (width, height), interpolation=cv2.INTER_LINEAR)
        return compressed(np.asarray(made, np.uint8), quality) if quality else np.asarray(made, np.uint8)

    return degrade


def middle(regions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the tiles ``[N, 1, TILE, TILE]`` in the middle of `regions` ``[N, s, s]``."""
    edge = (regions.shape[1] - TILE) // 2
    return np.ascontiguousarray(regions[:, None, edge : edge + TILE, edge : edge + TILE])


def all_pairs(count: int) -> tuple[Tensor, Tensor]:
    """Return the places of the first and the second of all pairs of `count` things."""
    both = torch.triu_indices(count, count, 1)
    return both[0], both[1]


def consistency(loss: RankLoss, teacher: Tensor, degraded: Tensor) -> Tensor:
    """Return L_QRC over all pairs: `teacher`'s logits ``[N]`` of the originals say how `degraded` ``[N]`` must be
    ordered. Pairs closer than UNSURE do not count."""
    i, j = all_pairs(len(teacher))
    gap = (teacher[j].sigmoid() - teacher[i].sigmoid()).detach()
    sure = gap.abs() >= UNSURE
    if not bool(sure.any()):
        return degraded.sum() * 0.0
    return loss(degraded[i[sure]], degraded[j[sure]], gap[sure].sign()).mean()


def ramp(step: int, steps: int) -> float:
    """Return the weight 0..1 of the consistency at `step`."""
    begin, full = (share * steps for share in RAMP)
    return float(np.clip((step - begin) / max(1.0, full - begin), 0.0, 1.0))


@dataclass(frozen=True)
class Part:
    """Tiles ``[N, 1, TILE, TILE]`` uint8 that a step looks at, and what their logits ``[N]`` cost."""

    tiles: Tensor
    cost: Callable[[Tensor], Tensor]


def cost(network: TileNetwork, parts: Sequence[Part]) -> Tensor:
    """Return the sum of what `parts` cost. Each is passed by itself: a blur takes the noise away, so norms over sharp
    and blurred tiles together would be those of neither, which took away all that the consistency brings."""
    return torch.stack([part.cost(network.logits(part.tiles)) for part in parts]).sum()


def labelled(pairs: Pairs, loss: RankLoss, count: int, random: Generator) -> Part:
    """Return L_ranking on `count` of `pairs`."""
    chosen = random.integers(len(pairs.order), size=count)
    tiles = turned(np.concatenate((pairs.first[chosen], pairs.second[chosen])), random)
    order = torch.from_numpy(pairs.order[chosen]).float()
    return Part(torch.from_numpy(tiles), lambda scores: loss(scores[:count], scores[count:], order).mean())


def unlabelled(
    teacher: TileNetwork, regions: NDArray[np.uint8], recipe: Recipe, loss: RankLoss, weight: float, random: Generator
) -> Part:
    """Return the anchor and, times `weight`, the consistency on some of `regions` under one blur."""
    chosen = regions[random.choice(len(regions), min(recipe.unlabelled, len(regions)), replace=False)]
    degrade = draw_common(random)
    clean = torch.from_numpy(middle(chosen))
    worse = torch.from_numpy(middle(np.stack([degrade(region) for region in chosen])))
    consistent = bool(recipe.consistency) and weight > 0
    with torch.no_grad():
        order = teacher.logits(clean) if consistent else None

    def loss_of(scores: Tensor) -> Tensor:
        total, after = scores.sum() * 0.0, scores[-len(worse) :]
        if recipe.anchor:
            total = total + recipe.anchor * loss(scores[: len(clean)], after, torch.ones(len(clean))).mean()
        return total if order is None else total + weight * recipe.consistency * consistency(loss, order, after)

    return Part(torch.cat((clean, worse)) if recipe.anchor else worse, loss_of)


def train(
    network: TileNetwork, pairs: Pairs, regions: NDArray[np.uint8], recipe: Recipe, seed: int = 0,
    report: Steps = lambda step, loss: None,
) -> TileNetwork:  # fmt: skip
    """Train `network` in place on `pairs` and unlabelled `regions` ``[N, s, s]`` (grey, s at least TILE); return the
    average of its weights. Raises ValueError without pairs."""
    if not len(pairs.order):
        raise ValueError("there is no labelled pair to learn from")
    random, loss = np.random.default_rng(seed), losses.find(recipe.loss)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=1e-2)
    average = Average(network.train(), recipe.decay, recipe.warm)
    for step in range(recipe.steps):
        optimizer.param_groups[0]["lr"] = recipe.rate * (0.02 + 0.98 * (1 + np.cos(np.pi * step / recipe.steps)) / 2)
        parts = [labelled(pairs, loss, recipe.pairs, random)]
        if len(regions) and (recipe.consistency or recipe.anchor):
            parts.append(unlabelled(average.network, regions, recipe, loss, ramp(step, recipe.steps), random))
        total = cost(network, parts)
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(network)
        report(step + 1, float(total.detach()))
    return average.network


def turned(tiles: NDArray[np.uint8], random: Generator) -> NDArray[np.uint8]:
    """Return `tiles` mirrored or transposed, or as they are: all alike, so that every pair stays one."""
    if random.random() < 0.5:
        tiles = tiles[..., ::-1]
    if random.random() < 0.5:
        tiles = tiles.swapaxes(2, 3)
    return np.ascontiguousarray(tiles)
