"""A stream of training inputs of fixed length, each a function of the seed and its place in the stream.

So a run that was interrupted continues with exactly the inputs that it would have seen, with any number of workers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from central.learn.data import Example, Pixels
from central.learn.data.augment import Loaded, Sample, Strength, compose, drawn_sources

CACHE_BYTES: Final = 1_500_000_000
"""Decoded images that one process keeps; beyond it, the oldest are decoded again when needed."""
MAX_PIXELS: Final = 64_000_000
"""An image of more pixels is refused before it is decoded."""
MIN_DONOR: Final = 16.0
"""Pixels: an object with a shorter side shows too little to be pasted elsewhere."""
DISTRACTORS: Final = 0.3
"""Share of what is pasted that is background: a place without any object."""
EVENNESS: Final = 0.5
"""How far rare classes are drawn more often: 0 not at all, 1 until all are seen equally often."""
MOST_REPEATS: Final = 6.0
"""An image is drawn at most so much more often for the rare classes in it."""


class Batch(NamedTuple):
    """Inputs ``[B, 3, H, W]`` uint8 RGB and their targets, padded to M boxes and R regions.

    boxes ``[B, M, 4]``, classes ``[B, M]`` (-1 pads), weights ``[B, M]``, regions ``[B, R, 4]``,
    complete ``[B, R, C]``, unread ``[N]``: examples that could not be read, tags ``[B, T]`` int8: 1 where a tag is
    known to be present, -1 absent, else 0.
    """

    images: Tensor
    boxes: Tensor
    classes: Tensor
    weights: Tensor
    regions: Tensor
    complete: Tensor
    unread: Tensor = torch.zeros(0, dtype=torch.int64)
    tags: Tensor = torch.zeros(0, 0, dtype=torch.int8)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`."""
        return Batch(*(t.to(device, non_blocking=True) for t in self))


def read_image(path: str) -> Pixels | None:
    """Return the image at `path` (BGR), or None where it is missing, damaged or larger than MAX_PIXELS."""
    try:
        image = cv2.imread(path, cv2.IMREAD_COLOR)
    except cv2.error:  # a header that claims more pixels than OpenCV decodes
        return None
    if image is None or image.shape[0] * image.shape[1] > MAX_PIXELS:
        return None
    return np.asarray(image, np.uint8)


class Stream(Dataset[Sample]):
    """`length` samples drawn from `examples` in proportion to `shares` (any positive numbers, one per example)."""

    def __init__(
        self,
        examples: Sequence[Example],
        shares: NDArray[np.float64],
        length: int,
        size: tuple[int, int],
        strength: Strength,
        seed: int,
        start: int = 0,
    ) -> None:
        self.examples = list(examples)
        self.cumulative = np.cumsum(shares / shares.sum())
        self.length, self.start = length, start
        self.size, self.strength, self.seed = size, strength, seed
        self.objects = _by_class(self.examples) if strength.paste else []
        self.cache: OrderedDict[int, Pixels] = OrderedDict()
        self.cached = 0
        self.unread: set[int] = set()

    def __len__(self) -> int:
        return self.length - self.start

    def _image(self, index: int) -> Pixels | None:
        image = self.cache.get(index)
        if image is None and index not in self.unread:
            image = read_image(str(self.examples[index].path))
            if image is None:
                self.unread.add(index)
                return None
            self.cache[index] = image
            self.cached += image.nbytes
            while self.cached > CACHE_BYTES and len(self.cache) > 1:
                self.cached -= self.cache.popitem(last=False)[1].nbytes
        return image

    def _load(self, wanted: int) -> Loaded:
        """Return the example `wanted`, or the next one that can be read. Raises OSError where none can."""
        for step in range(len(self.examples)):
            index = (wanted + step) % len(self.examples)
            image = self._image(index)
            if image is not None:
                break
        else:
            raise OSError(f"none of the {len(self.examples)} images can be read")
        example = self.examples[index]
        return Loaded(image, example.boxes, example.classes, example.weights, example.complete, example.tags)

    def indices(self, place: int, random: np.random.Generator) -> list[int]:
        """Return which examples make up the sample at `place`."""
        return self.indices_of(drawn_sources(self.strength, random), random)

    def indices_of(self, count: int, random: np.random.Generator) -> list[int]:
        """Return `count` examples drawn by their shares."""
        drawn = np.searchsorted(self.cumulative, random.random(count), side="right")
        return [int(i) for i in drawn.clip(max=len(self.examples) - 1)]

    def _donors(self, random: np.random.Generator) -> list[Loaded]:
        """Return objects to paste, each class as likely as any other, and among them some places without any."""
        found = []
        for _ in range(int(random.integers(self.strength.paste + 1)) if self.objects else 0):
            if random.random() < DISTRACTORS:
                found += self._distractor(random)
                continue
            own = self.objects[int(random.integers(len(self.objects)))]
            index, box = own[int(random.integers(len(own)))]
            image, whole, only = self._image(index), self.examples[index], slice(box, box + 1)
            if image is None:
                continue
            found.append(
                Loaded(image, whole.boxes[only], whole.classes[only], whole.weights[only], whole.complete)
            )
        return found

    def _distractor(self, random: np.random.Generator) -> list[Loaded]:
        """Return a place of an image that holds no object, as an object of class -1; nothing where none was found."""
        index = self.indices_of(1, random)[0]
        example, image = self.examples[index], self._image(index)
        if image is None or not example.complete.all():
            return []
        height, width = image.shape[:2]
        side = np.exp(random.uniform(np.log(MIN_DONOR), np.log(max(MIN_DONOR + 1, min(height, width) / 3)), 2))
        x, y = random.uniform(0, max(1.0, width - side[0])), random.uniform(0, max(1.0, height - side[1]))
        place = np.array([[x, y, x + side[0], y + side[1]]], np.float32)
        low, high = np.maximum(example.boxes[:, :2], place[:, :2]), np.minimum(example.boxes[:, 2:], place[:, 2:])
        if (low < high).all(axis=1).any():
            return []
        return [Loaded(image, place, np.array([-1]), np.ones(1, np.float32), example.complete)]

    def __getitem__(self, item: int) -> Sample:
        place = self.start + item
        random = np.random.default_rng((self.seed, place))
        sources = [self._load(i) for i in self.indices(place, random)]
        sample = compose(sources, *self.size, self.strength, random, self._donors(random))
        return replace(sample, unread=tuple(sorted(self.unread))) if self.unread else sample


def evened(examples: Sequence[Example], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `shares` with images of rare classes drawn more often (repeat factors: Gupta et al., LVIS, CVPR 2019).

    A class that is in a share f of the draws, where the commonest is in F, is wanted (F / f) ^ EVENNESS times as often;
    an image is repeated for the rarest class in it, at most MOST_REPEATS times.
    """
    classes = max((int(e.classes.max(initial=-1)) for e in examples), default=-1) + 1
    if not classes:
        return shares
    present = np.array([np.bincount(e.classes, minlength=classes) > 0 for e in examples])
    often = (present * shares[:, None]).sum(axis=0)
    factor = np.where(often > 0, (often.max() / np.maximum(often, 1e-12)) ** EVENNESS, 1.0).clip(1.0, MOST_REPEATS)
    return np.asarray(shares * np.where(present, factor, 1.0).max(axis=1), np.float64)


def _by_class(examples: Sequence[Example]) -> list[list[tuple[int, int]]]:
    """Return, per class that has any, the (example, box) of all objects large enough to be shown elsewhere."""
    found: dict[int, list[tuple[int, int]]] = {}
    for index, example in enumerate(examples):
        sides = (example.boxes[:, 2:] - example.boxes[:, :2]).min(axis=1, initial=np.inf)
        for box in np.flatnonzero(sides >= MIN_DONOR):
            found.setdefault(int(example.classes[box]), []).append((index, int(box)))
    return [found[label] for label in sorted(found)]


def collate(samples: list[Sample]) -> Batch:
    """Return `samples` as one padded batch."""
    boxes = max(1, max(len(s.boxes) for s in samples))
    regions = max(len(s.regions) for s in samples)
    classes = samples[0].complete.shape[1]
    batch = Batch(
        torch.from_numpy(np.stack([np.ascontiguousarray(s.image[:, :, ::-1].transpose(2, 0, 1)) for s in samples])),
        torch.zeros(len(samples), boxes, 4),
        torch.full((len(samples), boxes), -1, dtype=torch.int64),
        torch.zeros(len(samples), boxes),
        torch.zeros(len(samples), regions, 4),
        torch.zeros(len(samples), regions, classes, dtype=torch.bool),
        torch.tensor(sorted({i for s in samples for i in s.unread}), dtype=torch.int64),
        torch.zeros(len(samples), max(len(s.tags) for s in samples), dtype=torch.int8),
    )
    for i, s in enumerate(samples):
        n, r = len(s.boxes), len(s.regions)
        batch.boxes[i, :n] = torch.from_numpy(s.boxes)
        batch.classes[i, :n] = torch.from_numpy(s.classes)
        batch.weights[i, :n] = torch.from_numpy(s.weights)
        batch.regions[i, :r] = torch.from_numpy(s.regions)
        batch.complete[i, :r] = torch.from_numpy(s.complete)
        batch.tags[i, : len(s.tags)] = torch.from_numpy(s.tags)
    return batch
