"""Training a detector: one loop that can be killed anywhere and goes on from its last checkpoint.

run folder:  config.json  metrics.jsonl  last.safetensors  curves.png  confusion.png  result.json

What is trained is the business of its family (`central.learn.families`); how many processes train it that of the
`Group`, of which the first alone writes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from central.learn import families
from central.learn.data import Example
from central.learn.data.augment import CALM, FULL, LIGHT, NONE, Strength
from central.learn.data.dataset import Batch, Stream, collate, read_image
from central.learn.detect import plots
from central.learn.detect.background import need
from central.learn.detect.config import TrainConfig
from central.learn.detect.quick import Quick, detect, measure
from central.learn.distributed import ALONE, Group, GroupError
from central.learn.ema import Average
from central.learn.families import Parts, Tutor
from central.learn.incremental.lowrank import attach, merge
from central.learn.steps import adamw, load_optimizer, loader, optimizer_tensors
from export import checkpoint
from protocols import files

STRENGTHS: Final[dict[str, Strength]] = {"none": NONE, "light": LIGHT, "full": FULL}
LAST: Final = "last.safetensors"
MAX_NAMED: Final = 20
"""Unreadable images that a result names; the rest is counted."""
MAX_BLAMED: Final = 4
"""Images that the error of a step names: enough to look at, and still one line."""
FLOOR: Final = 0.05
"""Where the cosine ends, as a share of the highest rate."""

Report = Callable[[dict[str, Any]], None]
"""Receives ``step``, ``steps``, ``loss``, ``eta_s`` and, now and then, ``ap50``."""


class TrainingError(ValueError):
    """A run that cannot go on. The text says at which step, why, and what is left."""


@dataclass
class Result:
    """A finished run: the averaged network (on the CPU), its last validation and its history."""

    network: Any
    quick: Quick | None
    seconds: float
    history: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Images that could not be read; others took their places."""


def rate_at(step: int, config: TrainConfig) -> float:
    """Return the share of the highest learning rate at `step`: linear warm-up, then a cosine down to FLOOR."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _norms(network: nn.Module) -> frozenset[str]:
    """Return the names of all weights of batch norms."""
    return frozenset(
        f"{name}.{own}"
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for own, _ in module.named_parameters(recurse=False)
    )


def _learning(network: Any, config: TrainConfig) -> Callable[[str], bool]:
    """Return which weights of `network` may learn, by name. Raises TrainingError where it lacks a head of `only`."""
    if config.only:
        missing = [head for head in config.only if head not in network.heads]
        if missing:
            has = ", ".join(network.heads)
            raise TrainingError(f"no head {missing[0]!r} learns from these labels; this network has {has}")
    elif config.train == "all":
        return lambda _: True
    wanted = tuple(network.heads[head] for head in config.only or network.heads)
    more: frozenset[str] = frozenset()
    if config.train != "heads" and not config.only:
        more = _norms(network)
    if config.train == "low-rank" and not config.only:
        more |= frozenset(attach(network, config.rank))
    return lambda name: name in more or (name.startswith(wanted) and not name.startswith(network.trunk))


def make_optimizer(network: Any, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW over what `config` leaves to learn; weight decay on convolutions only. Raises TrainingError."""
    may = _learning(network, config)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and may(name))
    return adamw(network.parameters(), config.rate, config.decay)


def _settings(stored: object) -> TrainConfig | None:
    """Return the settings that a checkpoint holds, those unknown to it at their defaults; None if damaged."""
    if not isinstance(stored, dict) or not isinstance(stored.get("model"), dict):
        return None
    try:
        model = {"family": families.DEFAULT, **stored["model"]}
        return msgspec.convert({**stored, "model": model}, TrainConfig)
    except msgspec.ValidationError:
        return None


def _check(train: Sequence[Example], config: TrainConfig, group: Group) -> None:
    """Raise TrainingError where there is nothing to learn from, or the processes cannot share the work."""
    if not train:
        raise TrainingError("there is no labelled image to learn from")
    if not any(len(e.boxes) or e.complete.any() or e.tags.any() for e in train):
        raise TrainingError(f"none of the {len(train)} images has a box or was looked through for a class; label some")
    if all(read_image(str(e.path)) is None for e in train):  # one that can be read ends it
        raise TrainingError(f"none of the {len(train)} images can be read; the first is {train[0].path}")
    try:
        group.share(config.batch)
    except GroupError as error:
        raise TrainingError(str(error)) from None


class Run:
    """A training run in its folder."""

    def __init__(
        self,
        config: TrainConfig,
        train: Sequence[Example],
        val: Sequence[Example],
        folder: Path,
        shares: NDArray[np.float64] | None = None,
        start: dict[str, Tensor] | None = None,
        device: torch.device | None = None,
        group: Group = ALONE,
        tutor: Tutor | None = None,
    ) -> None:
        _check(train, config, group)
        self.config, self.folder = config, folder
        self.train, self.val = list(train), list(val)
        self.shares = np.ones(len(self.train)) if shares is None else shares
        self.group, self.device = group, device or group.device()
        self.skipped: set[int] = set()
        doubt = torch.from_numpy(config.guess * need(self.train, self.shares))
        self.guess = doubt.to(self.device) if bool(doubt.any()) else None
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.family = families.of(config.model)
        network = self.family.build(config.model)
        if start is not None:
            left = checkpoint.load_into(network, start, strict=False)
            if set(left) >= {name for name, _ in network.named_parameters()}:
                raise TrainingError(
                    "none of the weights to start from fits this network; are they of another family or size?"
                )
        memory = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network: Any = network.to(self.device).to(memory_format=memory)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.network, config)  # first: it may give the network more to learn
        self.average = Average(self.network, config.average)
        self.tutor = tutor
        self.step = 0
        self.stream: Stream | None = None
        self.history: list[dict[str, Any]] = []
        self._resume()

    def _resume(self) -> None:
        path = self.folder / LAST
        if not path.exists():
            if self.group.first:
                files.write_atomic(self.folder / "config.json", msgspec.json.format(msgspec.json.encode(self.config)))
            return
        tensors, about = checkpoint.read(path)
        if _settings(about.get("config")) != self.config:
            raise TrainingError(f"{self.folder}: holds a run with other settings; choose another folder or delete it")
        for prefix, network in (("network.", self.network), ("average.", self.average.network)):
            checkpoint.load_into(
                network, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            )
        load_optimizer(self.optimizer, tensors)
        self.step = self.average.steps = int(str(about["step"]))
        self.history = list(about["history"])  # type: ignore[call-overload]

    def save(self) -> None:
        """Write the checkpoint that a restart goes on from."""
        if not self.group.first:
            return
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.network.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer)
        about = {"config": msgspec.to_builtins(self.config), "step": self.step, "history": self.history}
        checkpoint.write(self.folder / LAST, tensors, about)

    def _batches(self, stop: int, strength: Strength) -> DataLoader[Any]:
        config = self.config
        stream = Stream(
            self.train, self.shares, stop * config.batch, (config.model.height, config.model.width), strength,
            config.seed, self.step * config.batch,
        )  # fmt: skip
        self.stream = stream
        return loader(stream, self.group.batches(len(stream), config.batch), config.workers, collate, self.device)

    def run(self, report: Report = lambda _: None) -> Result:
        """Train to the end and return the result. Raises TrainingError; the last good checkpoint stays."""
        begun, config = time.monotonic(), self.config
        calm_from = round(config.steps * (1 - config.calm)) if config.augment == "full" else config.steps
        phases = ((calm_from, STRENGTHS[config.augment]), (config.steps, CALM if config.augment == "full" else LIGHT))
        first = self.step
        for stop, strength in phases:
            if self.step >= stop:
                continue
            for batch in self._batches(stop, strength):
                self.skipped.update(batch.unread.tolist())
                loss = self._step(batch.to(self.device))
                elapsed = time.monotonic() - begun
                eta = elapsed / (self.step - first) * (config.steps - self.step)
                self._look(loss, eta, report)
        quick = self._validate()
        self._finish(quick, time.monotonic() - begun)
        network = merge(self.average.network.cpu())
        return Result(network, quick, time.monotonic() - begun, self.history, self._unreadable())

    def _unreadable(self) -> list[str]:
        return [str(self.train[i].path) for i in sorted(self.skipped)]

    def _blamed(self, first: int) -> str:
        """Return the images that the batch from sample `first` on was made of, the first MAX_BLAMED by name."""
        if self.stream is None:
            return ""
        places = range(first, first + self.config.batch)
        drawn = [self.stream.indices(p, np.random.default_rng((self.config.seed, p))) for p in places]
        names = list(dict.fromkeys(str(self.train[i].path) for own in drawn for i in own))
        more = f" and {len(names) - MAX_BLAMED} more" if len(names) > MAX_BLAMED else ""
        return f", made of {', '.join(names[:MAX_BLAMED])}{more}"

    def _step(self, batch: Batch) -> Parts:
        config = self.config
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d) and (config.freeze_norms or not module.weight.requires_grad):
                module.eval()  # what does not learn keeps its statistics too
        for group in self.optimizer.param_groups:
            group["lr"] = config.rate * rate_at(self.step, config)
        # What the forward pass draws (denoising queries) is a function of the step too: a resumed run repeats it.
        torch.manual_seed((config.seed * config.steps + self.step) * self.group.size + self.group.rank)
        if config.channels_last:
            batch = batch._replace(images=batch.images.to(memory_format=torch.channels_last))
        fast = config.amp and self.device.type == "cuda"
        losses = self.family.losses(self.network, batch, self.guess, fast, self.tutor)
        total = losses.total()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self.group.average(self.network.parameters())
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
        if not bool(torch.isfinite(norm)):
            kept = (
                f"the checkpoint of {self.folder / LAST} is good"
                if (self.folder / LAST).exists()
                else "nothing was saved yet"
            )
            first = self.step * config.batch
            raise TrainingError(
                f"step {self.step}: loss {float(total.detach()):.3g} has no finite gradient "
                f"(samples {first} to {first + config.batch - 1}{self._blamed(first)}); {kept}; try a lower rate"
            )
        self.optimizer.step()
        self.average.update(self.network)
        self.step += 1
        return losses

    def _look(self, losses: Parts, eta: float, report: Report) -> None:
        config, step = self.config, self.step
        if not self.group.first:
            return
        if step % 20 == 0 or step == config.steps:
            row: dict[str, Any] = {"step": step, "loss": float(losses.total().detach())}
            row |= {name: float(value.detach()) for name, value in losses._asdict().items()}
            if config.evaluate_every and step % config.evaluate_every == 0 and step < config.steps:
                quick = self._validate()
                if quick is not None:
                    row |= {"ap50": quick.ap50, "per_class": quick.per_class}
            if self.skipped:
                row["skipped"] = len(self.skipped)
            self.history.append(row)
            with (self.folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            report({**row, "steps": config.steps, "eta_s": eta})
        if step % config.save_every == 0:
            self.save()

    def _validate(self) -> Quick | None:
        if not self.val or not self.group.first:
            return None
        return measure(detect(self.average.network, self.val, self.device), self.config.model.labels)

    def _finish(self, quick: Quick | None, seconds: float) -> None:
        self.save()
        if not self.group.first:
            return
        result: dict[str, Any] = {"steps": self.step, "seconds": seconds}
        if self.skipped:
            result |= {"skipped": len(self.skipped), "skipped_images": self._unreadable()[:MAX_NAMED]}
        if quick is not None:
            result |= {"ap50": quick.ap50, "per_class": quick.per_class, "score_threshold": quick.threshold}
            plots.confusion(quick.confusion, self.config.model.labels, self.folder / "confusion.png")
        plots.curves(self.history, self.folder / "curves.png")
        files.write_atomic(self.folder / "result.json", json.dumps(result, indent=1).encode())
