"""Teaching the dense blur head without labels: it learns from the tile model, which sees what the input size hides.

    frame -> versions, ever more blurred, each seen by a camera -> tile model, native resolution  -> blur, 0..1
                                                                -> input size -> stride-8 features -> head -> map
          -> one blur for a group of frames                     -> input size -> stride-8 features -> head -> map

The mean of the map over the frame is to be the blur of the tile model, and to order versions and frames as that does;
within a frame, every textured cell of a blurrier version is to be blurrier. Where people compared pairs of crops, their
order counts as well, and so does the head's own order of different frames: it must stay when all of them are blurred
alike (Li et al., ICIP 2022; see `central.learn.blur.semi`). Only the blur head learns: detection is left as it is, so
features are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from central.learn.blur import pairs as comparisons
from central.learn.blur import semi
from central.learn.blur.degrade import KERNELS, LEAST, linear, sense, spread
from central.learn.blur.pairs import Comparison
from central.learn.blur.ranked import draw_sensor
from central.learn.data import Pixels
from central.learn.data.dataset import read_image
from central.learn.ema import Average
from central.learn.models import Network
from central.learn.models.heads import BlurHead
from central.learn.models.network import CONTRAST, ZERO
from edge.runtime.model import crop
from edge.runtime.prepare import letterbox

VERSIONS: Final = 4
"""Of each frame, the first as it is."""
GROUP: Final = 8
"""Frames that are blurred alike, and of one step."""
KEPT: Final = 160
"""Frames whose features are kept, at most."""
MEMORY: Final = 500_000_000
"""Bytes that the features may take."""
STRONGEST: Final = (0.001, 0.02)
"""Blur of the last version, standard deviation over the longer side: drawn evenly on a logarithmic scale."""
PAIRS: Final = 8
"""Pairs that people compared, per step, where there are some."""
LEVEL: Final = 5.0
"""Weight of the distance to the teacher's blur."""
TOLD: Final = 0.05
"""Difference of the teacher's blur from which two frames are ordered."""
GAP: Final = 0.5
"""Share of the teacher's difference by which scores must differ at least, up to comparisons.MARGIN."""
UNSURE: Final = 0.05
"""Difference of the average head's scores of two frames under which their order is not held to."""
CONSISTENCY: Final = 0.5
"""Weight of that order, once it counts in full."""
TEXTURE: Final = 6.0
"""Standard deviation (0..255) of an 8x8 cell from which its blur can be seen."""
TRIES: Final = 100

Teacher = Callable[[Pixels], float]
"""From a BGR picture to its blur, 0..1: the tile model."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Bank:
    """Groups of frames: `features` ``[G, GROUP, VERSIONS + 1, c, h, w]``, the last under the common blur of the group;
    `blur` ``[G, GROUP, VERSIONS]`` by the teacher; masks ``[G, GROUP, h, w]`` of cells `inside` the picture, and of
    those `textured`."""

    features: Tensor
    blur: Tensor
    inside: Tensor
    textured: Tensor


def textured(image: Pixels) -> Mask:
    """Return the mask ``[H/8, W/8]`` of cells with something to see."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    height, width = grey.shape[0] // 8, grey.shape[1] // 8
    cells = grey[: height * 8, : width * 8].reshape(height, 8, width, 8)
    return np.asarray(cells.std(axis=(1, 3)) > TEXTURE)


def versions(image: Pixels, random: Generator) -> list[Pixels]:
    """Return `image` as a camera sees it, and ever more blurred by kernels of one kind."""
    strongest = max(1.0, float(np.exp(random.uniform(*np.log(STRONGEST)))) * max(image.shape[:2]))
    strengths = [0.0, *sorted(strongest * random.uniform(0.1, 0.8, VERSIONS - 2)), strongest]
    kind, state, sensor = str(random.choice(list(KERNELS))), int(random.integers(2**31)), draw_sensor(random)
    light = linear(image)
    return [
        sense(spread(light, KERNELS[kind](s, np.random.default_rng(state)) if s > LEAST else None), sensor, random)
        for s in strengths
    ]


def _inside(image: Pixels, network: Network) -> Mask:
    config = network.config
    _, transform = letterbox(image, config.height, config.width)
    rows, columns = config.height // comparisons.CELL, config.width // comparisons.CELL
    places = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    mask = np.zeros(rows * columns, np.bool_)
    mask[crop(places, transform, config.height, config.width).astype(int).ravel()] = True
    return mask.reshape(rows, columns)


def _features(network: Network, images: Sequence[Pixels]) -> Tensor:
    """Return the stride-8 features of BGR `images` of the input size."""
    batch = np.stack([np.ascontiguousarray(i[:, :, ::-1].transpose(2, 0, 1)) for i in images])
    with torch.no_grad():
        features: Tensor = network.backbone.shallow((torch.from_numpy(batch).float() - ZERO) / CONTRAST)
    return features


def _read(paths: Sequence[Path], random: Generator) -> Pixels:
    for _ in range(TRIES):
        image = read_image(str(paths[int(random.integers(len(paths)))]))
        if image is not None:
            return image
    raise ValueError("a hundred images in a row could not be read")


def draw(
    network: Network, paths: Sequence[Path], teacher: Teacher, count: int, random: Generator,
    report: Callable[[int], None] = lambda done: None,
) -> Bank:  # fmt: skip
    """Return the features of about `count` frames, fewer where MEMORY is too little, and what the teacher says of them.

    Raises ValueError where no image can be read."""
    config = network.config
    first = [np.zeros((config.height, config.width, 3), np.uint8)]
    each = _features(network, first).nbytes * (VERSIONS + 1)
    features, blur, inside, seen = [], [], [], []
    for _ in range(max(1, min(count, MEMORY // each) // GROUP)):
        degrade = semi.draw_common(random)
        for _ in range(GROUP):
            image = _read(paths, random)
            made = versions(image, random)
            laid = [letterbox(picture, config.height, config.width)[0] for picture in made]
            features.append(_features(network, [*laid, degrade(laid[0])]))
            blur.append([teacher(picture) for picture in made])
            inside.append(_inside(image, network))
            seen.append(textured(laid[0]) & inside[-1])
            report(len(blur))
    groups = len(blur) // GROUP

    def grouped(values: Tensor) -> Tensor:
        return values.reshape(groups, GROUP, *values.shape[1:])

    masks = [grouped(torch.from_numpy(np.stack(part))) for part in (inside, seen)]
    return Bank(grouped(torch.stack(features)), grouped(torch.tensor(blur)), masks[0], masks[1])


def level(scores: Tensor, mask: Tensor) -> Tensor:
    """Return the mean ``[...]`` of maps ``[..., h, w]`` over the cells of mask ``[..., h, w]``."""
    weight = mask.float()
    return (scores * weight).sum((-2, -1)) / weight.sum((-2, -1)).clamp_min(1)


def ranking_loss(levels: Tensor, blur: Tensor) -> Tensor:
    """Return the mean hinge over all pairs of `levels` ``[N]`` that the teacher's `blur` ``[N]`` tells apart."""
    gap = blur[:, None] - blur[None]
    told = gap > TOLD
    if not bool(told.any()):
        return levels.sum() * 0.0
    wanted = (GAP * gap).clamp_max(comparisons.MARGIN)
    return F.relu(wanted - (levels[:, None] - levels[None]))[told].mean()


def cell_loss(scores: Tensor, blur: Tensor, mask: Tensor) -> Tensor:
    """Return the mean hinge over the cells of mask ``[B, h, w]``: there, each version of maps ``[B, V, h, w]`` must be
    blurrier than the one before, by GAP of what the teacher says of the frames, blur ``[B, V]``."""
    wanted = GAP * (blur[:, 1:] - blur[:, :-1]).clamp_min(0)[..., None, None]
    weight = mask.unsqueeze(1).float()
    missed = F.relu(wanted - (scores[:, 1:] - scores[:, :-1])) * weight
    return missed.sum() / weight.sum().clamp_min(1) / (scores.shape[1] - 1)


def consistency_loss(teacher: Tensor, degraded: Tensor) -> Tensor:
    """Return the mean hinge over all pairs of frames: `degraded` scores ``[B]`` of equally blurred frames must be in
    the order of the `teacher`'s scores ``[B]`` of the frames themselves, where that is sure."""
    first, second = semi.all_pairs(len(teacher))
    gap = (teacher[second] - teacher[first]).detach()
    sure = gap.abs() >= UNSURE
    if not bool(sure.any()):
        return degraded.sum() * 0.0
    return F.relu(comparisons.MARGIN - gap[sure].sign() * (degraded[second] - degraded[first])[sure]).mean()


def step_loss(head: BlurHead, average: BlurHead, bank: Bank, group: int, weight: float) -> Tensor:
    """Return the loss of one group of `bank`; `weight` is that of the consistency."""
    features, blur, inside = bank.features[group], bank.blur[group], bank.inside[group]
    maps = head(features.flatten(0, 1)).reshape(*features.shape[:2], *features.shape[-2:])
    levels = level(maps, inside.unsqueeze(1))
    own = levels[:, :VERSIONS]
    loss = LEVEL * F.smooth_l1_loss(own, blur, beta=0.1) + ranking_loss(own.flatten(), blur.flatten())
    loss = loss + cell_loss(maps[:, :VERSIONS], blur, bank.textured[group])
    if weight:
        with torch.no_grad():
            order = level(average(features[:, 0])[:, 0], inside)
        loss = loss + weight * consistency_loss(order, levels[:, VERSIONS])
    return loss


def fit(
    network: Network, paths: Sequence[Path], teacher: Teacher, steps: int = 800, seed: int = 0,
    report: Callable[[int, float], None] = lambda step, loss: None, pairs: Sequence[Comparison] = (),
    drawn: Callable[[int], None] = lambda done: None,
) -> float:  # fmt: skip
    """Train the blur head of `network`, in place, and return the mean loss of the last steps.

    `paths` are images, without labels; `pairs` are what people said, some of which each step sees. Everything else
    stays as it is. Raises ValueError where the network has no blur head or no image can be read.
    """
    head = network.blur
    if head is None:
        raise ValueError("this network has no blur head")
    random = np.random.default_rng(seed)
    network.eval()
    bank = draw(network, paths, teacher, KEPT, random, drawn)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=1e-3)
    average, losses = Average(head, warm=100.0), []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * (0.05 + 0.95 * (1 - step / steps))
        head.train()
        group = int(random.integers(len(bank.features)))
        loss = step_loss(head, average.network, bank, group, CONSISTENCY * semi.ramp(step, steps))
        if pairs:
            loss = loss + _compared(network, pairs, random)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(head)
        losses.append(float(loss.detach()))
        report(step + 1, losses[-1])
    head.load_state_dict(average.network.state_dict())
    head.eval()
    return float(np.mean(losses[-50:]))


def _compared(network: Network, pairs: Sequence[Comparison], random: Generator) -> Tensor:
    """Return the loss on some of the pairs that people compared."""
    head = network.blur
    crops, signs = comparisons.draw(pairs, PAIRS, random)
    if head is None or not signs:
        return torch.zeros(())
    laid = [comparisons.canvas(crop) for crop in crops]
    scores = comparisons.pooled(head(_features(network, [image for image, _ in laid])), [cells for _, cells in laid])
    return comparisons.loss(scores[::2], scores[1::2], torch.tensor(signs, dtype=scores.dtype))
