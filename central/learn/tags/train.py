"""Training tags on cached maps: one loop for every method.

    maps [N, c, h, w], labels [N, C] -> epochs of batches -> TagNetwork; a row of figures per epoch
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from central.learn.tags import Learner, Material, Stage, find
from central.learn.tags.config import TagsConfig
from central.learn.tags.maps import Maps
from central.learn.tags.metrics import Labels, report
from central.learn.tags.network import TagNetwork, statistics
from central.learn.tags.words import vectors

CHUNK: Final = 256
"""Images per pass where nothing is learned."""


class TagsError(ValueError):
    """A training that cannot be done. The text says why, and what to do."""


@dataclass(frozen=True)
class Watch:
    """What a training is judged on as it goes: maps and labels of images that it does not learn from."""

    maps: Maps
    labels: Labels


@dataclass(frozen=True)
class Trained:
    """What came of it."""

    network: TagNetwork
    learner: Learner
    history: list[dict[str, Any]]
    """Per epoch: the losses by name, thresholds, and what was watched."""


def _tensor(maps: Maps, rows: NDArray[np.int64] | slice) -> Tensor:
    return torch.from_numpy(np.asarray(maps[rows], np.float32))


@torch.no_grad()
def through(network: TagNetwork, maps: Maps, features: bool = False) -> tuple[Tensor, Tensor]:
    """Return the logits ``[N, C]`` of all `maps`, and their tag features ``[N, C, D]`` where asked for (else empty)."""
    network.eval()
    parts = [network(_tensor(maps, slice(start, start + CHUNK))) for start in range(0, len(maps), CHUNK)]
    kept = torch.cat([part.features for part in parts]) if features else torch.zeros(0)
    return torch.cat([part.logits for part in parts]), kept


def scores(network: TagNetwork, maps: Maps) -> NDArray[np.float32]:
    """Return the logits ``[N, C]`` of all `maps`."""
    return np.asarray(through(network, maps)[0].numpy(), np.float32)


def _optimizer(network: TagNetwork, learner: Learner, config: TagsConfig) -> torch.optim.Adam:
    fast: list[torch.nn.Parameter] = []
    slow = list(network.parameters())
    for name, parameter in learner.named_parameters():
        (fast if name.startswith(learner.fast) else slow).append(parameter)
    groups: list[dict[str, Any]] = [{"params": slow, "lr": config.rate, "weight_decay": config.decay}]
    if fast:
        groups.append({"params": fast, "lr": learner.fast_rate, "weight_decay": 0.0})
    return torch.optim.Adam(groups, fused=True)


def found_by(learner: Learner, features: Tensor, labels: Tensor, truth: Labels) -> dict[str, float]:
    """Return precision and recall of the pseudo labels of each branch against `truth`, and how many there are."""
    added = learner.pseudo(features, labels)
    if len(added) > 1:
        added["any"] = torch.stack(list(added.values())).amax(0)
    real = torch.from_numpy(truth > 0)
    hidden = (labels == 0) & torch.from_numpy(truth != 0)
    row: dict[str, float] = {"prior": float(real[hidden].float().mean()) if hidden.any() else 0.0}
    for branch, told in added.items():
        new = (told > 0) & hidden
        right = float((new & real).sum())
        row[f"{branch}_count"] = float(new.sum())
        row[f"{branch}_precision"] = right / max(1.0, float(new.sum()))
        row[f"{branch}_recall"] = right / max(1.0, float((hidden & real).sum()))
    return row


class Training:
    """One training, epoch by epoch."""

    def __init__(self, config: TagsConfig, maps: Maps, labels: Labels, names: tuple[str, ...]) -> None:
        if len(maps) < 2 or not (labels != 0).any():
            raise TagsError("tags need at least two images and one tag that is known; label some first")
        self.config, self.maps, self.names = config, maps, names
        self.labels = torch.from_numpy(labels.astype(np.float32))
        torch.manual_seed(config.seed)
        words = vectors(names, config.words)
        self.network = TagNetwork(
            maps.shape[1], len(names), config.width, config.attention,
            None if words is None else torch.from_numpy(words), config.learned,
        )  # fmt: skip
        self.network.head.graph.adjacency.copy_(statistics(self.labels))
        self.learner = find(config.method).start(config, self.labels)
        self.optimizer = _optimizer(self.network, self.learner, config)
        self.random = np.random.default_rng(config.seed)

    def epoch(self, epoch: int) -> dict[str, float]:
        """Run one epoch and return the mean of each loss."""
        if self.learner.before(epoch):
            logits, features = through(self.network, self.maps, features=True)
            self.learner.look(epoch, Material(self.labels, features, logits))
        late = epoch >= self.config.drop_at * self.config.epochs
        self.optimizer.param_groups[0]["lr"] = self.config.rate * (0.1 if late else 1.0)
        self.network.train()
        self.learner.train()
        order = self.random.permutation(len(self.maps))
        starts = range(0, max(1, len(order) - 1), self.config.batch)
        sums: dict[str, float] = {}
        for done, start in enumerate(starts):
            rows = np.sort(order[start : start + self.config.batch])
            if len(rows) < 2:
                break  # a batch norm needs two
            for name, value in self._step(rows, epoch, done / len(starts)).items():
                sums[name] = sums.get(name, 0.0) + value / len(starts)
        return sums

    def _step(self, rows: NDArray[np.int64], epoch: int, progress: float) -> dict[str, float]:
        places = torch.from_numpy(rows)
        stage = Stage(epoch, progress, places)
        parts = self.learner.losses(self.network, _tensor(self.maps, rows), self.labels[places], stage)
        loss = torch.stack(list(parts.values())).sum()
        if not torch.isfinite(loss):
            raise TagsError(f"the loss is not a number in epoch {epoch}; try a lower --rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.learner.settle()
        return {name: float(part.detach()) for name, part in parts.items()}

    def judge(self, watch: Watch | None, truth: Labels | None) -> dict[str, Any]:
        """Return the mAP on `watch` and what the pseudo labels are worth against the `truth` of the training images."""
        row: dict[str, Any] = {}
        for name, value in self.learner.named_parameters():
            if value.ndim == 0:
                row[name.removesuffix(".value").replace("thresholds.", "theta_")] = float(value.detach())
        if watch is not None and len(watch.maps):
            row["map"] = report(scores(self.network, watch.maps), watch.labels, self.names).map
        if truth is not None:
            features = through(self.network, self.maps, features=True)[1]
            row |= found_by(self.learner, features, self.labels, truth)
        return row


def train(
    config: TagsConfig,
    maps: Maps,
    labels: Labels,
    names: tuple[str, ...],
    watch: Watch | None = None,
    tell: Callable[[dict[str, Any]], None] = lambda row: None,
    truth: Labels | None = None,
    every: int = 1,
) -> Trained:
    """Train a tag network on `maps` ``[N, c, h, w]`` with `labels` ``[N, C]`` of the tags `names`.

    `watch` and `truth` are looked at every `every` epochs and after the last, and change nothing. The word vectors are
    those of the configuration. Raises TagsError, WordsError, SlotError.
    """
    run = Training(config, maps, labels, names)
    history = []
    for epoch in range(config.epochs):
        row: dict[str, Any] = {"epoch": epoch, **run.epoch(epoch)}
        if (epoch + 1) % every == 0 or epoch == config.epochs - 1:
            row |= run.judge(watch, truth)
        history.append(row)
        tell(row)
    run.network.eval()
    run.learner.eval()
    return Trained(run.network, run.learner, history)
