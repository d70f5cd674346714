"""Teaching the tile model: tiles whose order is known by making, and crops whose order people told.

    images -> ranked.draw -> all pairs of a batch, within a place and between places \
    pairs of people -> crops -> tiles                                                > semi.Recipe -> TileNetwork
    images -> regions, unlabelled -> consistency and anchor                          /
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from central.learn.blur import losses, ranked, semi
from central.learn.blur.losses import RankLoss
from central.learn.blur.network import TileNetwork
from central.learn.blur.pairs import Comparison
from central.learn.blur.ranked import TILE, Ranked
from central.learn.data.dataset import read_image
from central.learn.ema import Average
from edge.runtime.sharpness import tiles as looking

PLACES: Final = 24
"""Per step; each is seen in VERSIONS versions."""
WITHIN, BETWEEN = 0.02, 0.4
"""Difference of blur, pixels, from which two versions of one place and tiles of two places are ordered: two places may
differ in the blur that they had before."""
SPREAD: Final = 1.5
"""Standard deviation that the scores before the sigmoid are brought to, so that none of its range is wasted."""
PEOPLE: Final = 12
"""Pairs of people per step, where there are some."""
DECAY: Final = 0.998

ORDER: Final = {"left": 1, "right": -1, "cant_tell": 0}
"""Of `semi.Pairs`: the second, the right one, is blurrier where the left one is sharper."""


def from_people(pairs: Sequence[Comparison]) -> semi.Pairs:
    """Return the tile with most structure of each crop that can be read, and what people said."""
    first, second, order = [], [], []
    for pair in pairs:
        both = [read_image(str(path)) for path in (pair.left, pair.right)]
        if both[0] is None or both[1] is None:
            continue
        planes = [looking.plane(image) for image in both if image is not None]
        cuts = [looking.cut(grey, looking.places(grey, 1))[0] for grey in planes]
        first.append(cuts[0])
        second.append(cuts[1])
        order.append(ORDER[pair.answer])
    shape = (0, 1, TILE, TILE)
    return semi.Pairs(
        np.array(first, np.uint8) if first else np.zeros(shape, np.uint8),
        np.array(second, np.uint8) if second else np.zeros(shape, np.uint8),
        np.array(order, np.int64),
    )


def between(blur: Tensor, versions: int) -> tuple[Tensor, Tensor]:
    """Return masks ``[N, N]`` of ordered pairs (row blurrier than column) of `blur` ``[N]``: within a place, and
    between places. `versions` neighbours are of one place."""
    gap = blur[:, None] - blur[None]
    place = torch.arange(len(blur)) // versions
    same = place[:, None] == place[None]
    return same & (gap > WITHIN), ~same & (gap > BETWEEN)


def ranking(made: Ranked, loss: RankLoss, random: Generator) -> semi.Part:
    """Return the loss over all pairs of some places of `made`."""
    chosen = random.integers(len(made.tiles), size=PLACES)
    tiles = semi.turned(made.tiles[chosen].reshape(-1, 1, TILE, TILE), random)
    masks = between(torch.from_numpy(made.blur[chosen].reshape(-1)), made.tiles.shape[1])

    def loss_of(scores: Tensor) -> Tensor:
        total = torch.zeros(())
        for mask in masks:
            blurrier, sharper = mask.nonzero(as_tuple=True)
            if len(blurrier):
                total = total + loss(scores[sharper], scores[blurrier], torch.ones(len(blurrier))).mean()
        return total

    return semi.Part(torch.from_numpy(tiles), loss_of)


@torch.no_grad()
def settle(network: TileNetwork, made: Ranked, most: int = 2000) -> None:
    """Scale the last layer, in place, so that the scores before the sigmoid have mean 0 and deviation SPREAD."""
    tiles = torch.from_numpy(made.tiles.reshape(-1, 1, TILE, TILE)[:: max(1, made.tiles.size // TILE**2 // most)])
    scores = torch.cat([network.eval().logits(part) for part in torch.split(tiles, 256)])
    factor = SPREAD / max(1e-6, float(scores.std()))
    assert network.out.bias is not None
    network.out.bias.copy_((network.out.bias - scores.mean()) * factor)
    network.out.weight.mul_(factor)


def train(
    made: Ranked, people: semi.Pairs, regions: NDArray[np.uint8], recipe: semi.Recipe, seed: int = 0,
    report: semi.Steps = lambda step, loss: None, start: TileNetwork | None = None,
) -> TileNetwork:  # fmt: skip
    """Return a network that learned from tiles in known order, pairs of people and unlabelled `regions` ``[N, s, s]``.

    Pairs of people weigh as much as all that is made; without any, or without regions, the rest is learned from. With
    `start`, it is learned on from that."""
    torch.manual_seed(seed)
    random, loss = np.random.default_rng(seed), losses.find(recipe.loss)
    network = TileNetwork().train() if start is None else start.eval()  # norms of a start stay as they are
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=1e-2)
    average = Average(network, DECAY, 200.0)
    for step in range(recipe.steps):
        warm, down = min(1.0, (step + 1) / 100), (1 + np.cos(np.pi * step / recipe.steps)) / 2
        optimizer.param_groups[0]["lr"] = recipe.rate * warm * (0.02 + 0.98 * down)
        parts = [ranking(made, loss, random)]
        if len(people.order):
            parts.append(semi.labelled(people, loss, PEOPLE, random))
            if len(regions):
                weight = semi.ramp(step, recipe.steps)
                parts.append(semi.unlabelled(average.network, regions, recipe, loss, weight, random))
        total = semi.cost(network, parts)
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(network)
        report(step + 1, float(total.detach()))
    settle(average.network, made)
    return average.network


def regions_of(paths: Sequence[Path], count: int, seed: int) -> NDArray[np.uint8]:
    """Return `count` textured squares ``[N, s, s]`` of the images in `paths`, as they are."""
    random, side = np.random.default_rng(seed), TILE + 2 * semi.MARGIN
    found: list[NDArray[np.uint8]] = []
    for _ in range(20 * count):
        grey = ranked.read_grey(paths[int(random.integers(len(paths)))])
        region = None if grey is None else ranked.region(grey, side, random)
        if region is not None:
            found.append(region)
        if len(found) == count:
            break
    return np.array(found, np.uint8) if found else np.zeros((0, side, side), np.uint8)
