"""Teaching the blur head without labels: frames against blurred versions of themselves.

The same operator at two strengths gives three versions in a known order, so every pair of them is a rank label that
costs nothing (as in RankIQA, Liu et al., ICCV 2017); the strength itself keeps the scale the same from frame to frame.
Where people compared pairs of crops, their order counts as well, and so does the head's own order of different frames:
it must stay when all of them are blurred alike (Li et al., ICIP 2022; see `central.learn.blur.semi`). Only the blur
head learns: detection is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from central.learn.blur.pairs import Comparison
from central.learn.data import Example, Pixels
from central.learn.data.augment import Loaded, Strength, compose, motion_kernel
from central.learn.data.dataset import read_image
from central.learn.ema import Average
from central.learn.models import Network
from central.learn.models.network import CONTRAST, ZERO

FRAMES: Final = 4
"""Frames per step; each is seen in three versions."""
PAIRS: Final = 8
"""Pairs that people compared, per step, where there are some."""
GEOMETRY: Final = Strength(scale=(0.9, 2.5), shift=0.2, flip=0.5, colour=0.5, night=0.1)
WEAK: Final = (0.6, 1.6)
STRONG: Final = (1.5, 2.2)
"""Blur of the second version (standard deviation, input pixels), and how many times that the third has."""
MARGIN: Final = 0.3
"""Score difference per pixel of added blur that the ranking asks for."""
UNSURE: Final = 0.15
"""Difference of the average head's scores of two frames under which their order is not held to."""
CONSISTENCY: Final = 0.5
"""Weight of that order, once it counts in full."""
TEXTURE: Final = 6.0
"""Standard deviation (0..255) of an 8x8 cell from which its blur can be seen."""


def blurred(image: Pixels, sigma: float, kind: int, angle: float) -> Pixels:
    """Return `image` blurred as by standard deviation `sigma` pixels: Gaussian, defocus disc or straight motion."""
    if kind == 0:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    if kind == 1:  # a disc of radius r has standard deviation r / 2 along each axis
        radius = 2 * sigma
        reach = np.arange(-int(np.ceil(radius)) - 1, int(np.ceil(radius)) + 2)
        distance = np.hypot(reach[:, None], reach[None])
        disc = np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
        return np.asarray(cv2.filter2D(image, -1, disc / disc.sum()), np.uint8)
    # a line of length l has standard deviation l / sqrt(12), in one direction only
    length = max(3, round(sigma * 12**0.5 * 1.3))
    return np.asarray(cv2.filter2D(image, -1, motion_kernel(length, angle)), np.uint8)


def textured(image: Pixels) -> NDArray[np.bool_]:
    """Return the mask ``[H/8, W/8]`` of cells with something to see."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    height, width = grey.shape[0] // 8, grey.shape[1] // 8
    cells = grey[: height * 8, : width * 8].reshape(height, 8, width, 8)
    return np.asarray(cells.std(axis=(1, 3)) > TEXTURE)


def versions(image: Pixels, random: Generator) -> tuple[list[Pixels], list[float]]:
    """Return `image`, a weakly and a strongly blurred version, and the blur that each has beyond the first."""
    weak = float(random.uniform(*WEAK))
    sigmas = (weak, weak * float(random.uniform(*STRONG)))
    kind, angle = int(random.integers(3)), float(random.uniform(0, 180))
    return [image, *(blurred(image, s, kind, angle) for s in sigmas)], [0.0, *sigmas]


def ranking_loss(scores: Tensor, sigmas: Tensor, mask: Tensor) -> Tensor:
    """Return the mean hinge over textured cells: each version must beat the one before by MARGIN per pixel of blur.

    scores ``[B, 3, h, w]``, sigmas ``[B, 3]`` rising, mask ``[B, h, w]``. A second term pulls each version's mean
    towards its blur, so that scores of different frames compare.
    """
    gap = scores[:, 1:] - scores[:, :-1]
    wanted = MARGIN * (sigmas[:, 1:] - sigmas[:, :-1])[..., None, None]
    weight = mask.unsqueeze(1).float()
    hinge = (F.relu(wanted - gap) * weight).sum() / weight.sum().clamp_min(1) / 2
    level = (scores * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1)
    return hinge + 0.2 * F.smooth_l1_loss(level[:, 1:], sigmas[:, 1:])


def consistency_loss(teacher: Tensor, degraded: Tensor) -> Tensor:
    """Return the mean hinge over all pairs of frames: `degraded` scores ``[B]`` of equally blurred frames must be in
    the order of the `teacher`'s scores ``[B]`` of the frames themselves, where that is sure."""
    first, second = semi.all_pairs(len(teacher))
    gap = (teacher[second] - teacher[first]).detach()
    sure = gap.abs() >= UNSURE
    if not bool(sure.any()):
        return degraded.sum() * 0.0
    return F.relu(comparisons.MARGIN - gap[sure].sign() * (degraded[second] - degraded[first])[sure]).mean()


def _level(scores: Tensor, mask: Tensor) -> Tensor:
    """Return the mean ``[B]`` of scores ``[B, 1, h, w]`` over the textured cells of mask ``[B, h, w]``."""
    weight = mask.unsqueeze(1).float()
    return (scores * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1)


def _features(network: Network, images: list[Pixels]) -> Tensor:
    """Return the stride-8 features of BGR `images` of the input size."""
    batch = np.stack([np.ascontiguousarray(i[:, :, ::-1].transpose(2, 0, 1)) for i in images])
    with torch.no_grad():
        features: Tensor = network.backbone.shallow((torch.from_numpy(batch).float() - ZERO) / CONTRAST)
    return features


def fit(
    network: Network,
    examples: Sequence[Example],
    steps: int = 400,
    seed: int = 0,
    report: Callable[[int, float], None] = lambda step, loss: None,
    pairs: Sequence[Comparison] = (),
) -> float:
    """Train the blur head of `network`, in place, and return the mean loss of the last steps.

    `pairs` are what people said; each step sees some of them, beside frames against versions of themselves.
    Everything else stays as it is; `examples` need no labels. Raises ValueError where the network has no blur head or
    no image can be read.
    """
    head = network.blur
    if head is None:
        raise ValueError("this network has no blur head")
    random = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=1e-3)
    network.eval()
    losses: list[float] = []
    average = Average(head, warm=100.0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * (0.05 + 0.95 * (1 - step / steps))
        images = [_draw(network, examples, random) for _ in range(FRAMES)]
        families = [versions(image, random) for image in images]
        features = _features(network, [v for family, _ in families for v in family])
        head.train()
        scores = head(features).reshape(FRAMES, 3, *features.shape[2:])
        mask = torch.from_numpy(np.stack([textured(image) for image in images]))
        loss = ranking_loss(scores, torch.tensor([s for _, s in families]), mask)
        weight = CONSISTENCY * semi.ramp(step, steps)
        if weight:
            degrade = semi.draw_common(random)
            with torch.no_grad():
                order = _level(average.network(features[::3]), mask)
            worse = _features(network, [degrade(image) for image in images])
            loss = loss + weight * consistency_loss(order, _level(head(worse), mask))
        if pairs:
            loss = loss + _compared(network, pairs, random)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(head)
        losses.append(float(loss.detach()))
        report(step + 1, losses[-1])
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


def _draw(network: Network, examples: Sequence[Example], random: Generator) -> Pixels:
    config = network.config
    for _ in range(100):
        example = examples[int(random.integers(len(examples)))]
        image = read_image(str(example.path))
        if image is not None:
            empty = Loaded(image, example.boxes, example.classes, example.weights, example.complete)
            return compose([empty], config.height, config.width, GEOMETRY, random).image
    raise ValueError("a hundred images in a row could not be read")
