"""Training the heads on cached features: many images with tags, a few with boxes, together.

    bags, tags [I, C], how sure each is, boxes of some images -> batches of images -> Heads

An image with tags alone teaches the streams by its tags and each refinement by the one before, where clicks and other
single answers (hints) rule out boxes that cannot be the object; one with boxes teaches everything by them. Where there
are any of the latter two they are drawn often enough to be heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Final

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from central.learn.discover import heads as parts
from central.learn.discover import hints as answers
from central.learn.discover.features import Bag, Bags
from central.learn.discover.heads import Heads, Said, Targets
from central.learn.discover.hints import NONE, Hints
from central.learn.discover.seeds import Member, find
from edge.runtime import Float
from edge.runtime.nms import overlaps

HEARD: Final = 0.34
"""Share of the draws that images with boxes or single answers have at least, where there are any."""
REFINED: Final = 3.0
"""Weight of the first refinement, as in the later release of PCL: the others stand on it."""
SIDES: Final = 1.0
CLIP: Final = 5.0
KEPT: Final = 0.8


class FitConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training of the heads."""

    epochs: Annotated[int, Meta(ge=1, le=1000)] = 10
    batch: Annotated[int, Meta(ge=1, le=256)] = 8
    """Images."""
    rate: Annotated[float, Meta(gt=0, le=1)] = 1e-3
    decay: Annotated[float, Meta(ge=0, le=1)] = 1e-4
    seeds: str = "best"
    """File in ``central/learn/discover/seeds``."""
    stages: Annotated[int, Meta(ge=0, le=10)] = 3
    hidden: Annotated[int, Meta(ge=8, le=4096)] = 256
    trust: Annotated[float, Meta(ge=0, le=100)] = parts.TRUST
    """How much the rank that the way to find boxes gives them counts for where a class is."""
    kept: Annotated[float, Meta(ge=0, le=10)] = KEPT
    """The same in the refinements, as a power."""
    maps: bool = True
    """Whether the class maps of the trunk are looked at too, where it has any."""
    tags: bool = True
    """Whether images with tags alone teach anything; False: boxes only."""
    seed: int = 0


@dataclass(frozen=True)
class Drawn:
    """Boxes of one image that count: ``[M, 4]`` xyxy in its pixels, classes ``[M]``, weights ``[M]`` 0..1."""

    boxes: Float
    classes: NDArray[np.int64]
    weights: Float


@dataclass(frozen=True)
class Lessons:
    """What is taught: labels ``[I, C]`` (1, -1, 0), how sure each is ``[I, C]`` 0..1, boxes and single answers by
    image."""

    labels: NDArray[np.int8]
    sure: NDArray[np.float32]
    drawn: Mapping[int, Drawn] = field(default_factory=dict)
    hints: Mapping[int, Hints] = field(default_factory=dict)


def certain(labels: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return 1 for each of `labels`."""
    return np.ones(labels.shape, np.float32)


class Fit:
    """One training."""

    def __init__(self, config: FitConfig, bags: Bags, lessons: Lessons, start: Heads | None = None) -> None:
        told = answers.told(lessons.labels, lessons.hints)
        self.config, self.bags, self.lessons = config, bags, replace(lessons, labels=told)
        lessons = self.lessons
        self.seeds: Member = find(config.seeds)
        torch.manual_seed(config.seed)
        maps = bags.activations.shape[2] if config.maps else 0
        classes = lessons.labels.shape[1]
        self.heads = Heads(bags.features.shape[1], classes, maps, config.hidden, config.stages, config.trust)
        if start is not None:
            self.heads.load_state_dict(start.state_dict())
        self.optimizer = torch.optim.AdamW(self.heads.parameters(), lr=config.rate, weight_decay=config.decay)
        self.random = np.random.default_rng(config.seed)
        counts = np.diff(bags.starts)
        taught = (lessons.labels != 0).any(1) if config.tags else np.zeros(len(bags), bool)
        taught[list(lessons.drawn)] = True
        self.usable = np.flatnonzero(taught & (counts > 0))
        if not len(self.usable):
            raise ValueError("nothing to learn from: no image with boxes that may hold something has a known tag")
        self.shares = self._shares()

    def _shares(self) -> NDArray[np.float64]:
        boxed = np.array([int(p) in self.lessons.drawn or int(p) in self.lessons.hints for p in self.usable])
        share = np.ones(len(self.usable))
        few = int(boxed.sum())
        if few and few < len(boxed):
            wanted = max(HEARD, few / len(boxed))
            share[boxed], share[~boxed] = wanted / few, (1 - wanted) / (len(boxed) - few)
        return np.asarray(share / share.sum(), np.float64)

    def run(self, tell: Callable[[int, float], None] = lambda epoch, loss: None) -> Heads:
        """Train and return the heads."""
        steps = max(1, len(self.usable) // self.config.batch)
        self.heads.train()
        for epoch in range(self.config.epochs):
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.rate * (0.1 if epoch >= 0.7 * self.config.epochs else 1.0)
            draw = self.random.choice(self.usable, steps * self.config.batch, p=self.shares)
            if not self.lessons.drawn and not self.lessons.hints:
                draw = self.random.permutation(self.usable)[: steps * self.config.batch]
            total = sum(self._step(draw[i : i + self.config.batch]) for i in range(0, len(draw), self.config.batch))
            tell(epoch, total / steps)
        trained: Heads = self.heads.eval()
        return trained

    def _step(self, places: NDArray[np.int64]) -> float:
        bags = [self.bags[int(place)] for place in places]
        seen = zip(places.tolist(), bags, through(self.heads, bags), strict=True)
        losses = [self._loss(place, bag, said) for place, bag, said in seen]
        loss = torch.stack(losses).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.heads.parameters(), CLIP)
        self.optimizer.step()
        return float(loss.detach())

    def _loss(self, place: int, bag: Bag, said: Said) -> Tensor:
        labels, sure = self.lessons.labels[place], self.lessons.sure[place]
        drawn, hints = self.lessons.drawn.get(place), self.lessons.hints.get(place, NONE)
        fit = None if drawn is not None or hints == NONE else answers.fits(bag.boxes, hints, len(labels))
        image = said.image if fit is None else (said.both * torch.from_numpy(fit)).sum(0).clamp(0, 1)
        loss = parts.image_loss(image, torch.from_numpy(labels.astype(np.float32)), torch.from_numpy(sure))
        if drawn is not None:
            wanted = parts.of_boxes(bag.boxes, drawn.boxes, drawn.classes, drawn.weights, len(labels))
            for stage in said.stages:
                loss = loss + REFINED * parts.refine_loss(stage, wanted)
            return loss + SIDES * parts.sides_loss(said.sides, bag.boxes, wanted)
        if fit is None:
            return loss + self._refine(bag, said, labels, sure, lambda scores: scores)
        return loss + self._refine(bag, said, labels, sure, lambda scores: answers.heard(scores, fit, hints))

    def _refine(
        self, bag: Bag, said: Said, labels: NDArray[np.int8], sure: NDArray[np.float32],
        heard: Callable[[Float], Float],
    ) -> Tensor:  # fmt: skip
        overlap = overlaps(bag.boxes, bag.boxes)
        scores = heard(said.both.detach().numpy())
        loss, wanted = said.both.new_zeros(()), None
        for number, stage in enumerate(said.stages):
            wanted = parts.targets(scores, bag.boxes, overlap, labels, self.seeds, sure)
            loss = loss + (REFINED if number == 0 else 1.0) * parts.refine_loss(stage, wanted)
            scores = heard(trusted(stage.detach().softmax(1)[:, :-1].numpy(), bag.scores, self.config.kept))
        if wanted is not None:
            loss = loss + SIDES * parts.sides_loss(said.sides, bag.boxes, wanted)
        return loss


def trusted(scores: Float, found: Float, kept: float) -> Float:
    """Return scores ``[N, C]`` times the power `kept` of those ``[N]`` that whoever found the boxes gave them."""
    return np.asarray(scores * found[:, None] ** kept, np.float32)


def through(heads: Heads, bags: Sequence[Bag]) -> list[Said]:
    """Return what `heads` say of each of `bags`."""
    features = torch.cat([bag.features for bag in bags])
    activations = torch.cat([bag.activations[:, :, : heads.maps] for bag in bags])
    scores = torch.from_numpy(np.concatenate([bag.scores for bag in bags]))
    found: list[Said] = heads(features, activations, scores, [len(bag.boxes) for bag in bags])
    return found


@dataclass(frozen=True)
class Judged:
    """Boxes of one image as the heads see them: ``[N, 4]`` xyxy, scores ``[N, C]``, image scores ``[C]``; `raw` are
    the scores of the two streams alone, `unmoved` the boxes as they were proposed."""

    boxes: Float
    scores: Float
    image: Float
    raw: Float
    unmoved: Float


@torch.no_grad()
def judge(heads: Heads, bag: Bag, kept: float = KEPT) -> Judged:
    """Return what trained `heads` say of `bag`: the mean of the refinements, boxes moved; `kept` as in `FitConfig`."""
    heads.eval()
    if not len(bag.boxes):
        none = np.zeros((0, heads.classes_count), np.float32)
        return Judged(bag.boxes, none, np.zeros(heads.classes_count, np.float32), none, bag.boxes)
    said = through(heads, [bag])[0]
    raw = said.both.numpy()
    stages = [stage.softmax(1)[:, :-1] for stage in said.stages]
    scores = trusted(torch.stack(stages).mean(0).numpy(), bag.scores, kept) if stages else raw
    return Judged(parts.moved(bag.boxes, said.sides.numpy()), scores, said.image.numpy(), raw, bag.boxes)


__all__ = ["Drawn", "Fit", "FitConfig", "Judged", "Lessons", "Targets", "certain", "judge", "through"]
