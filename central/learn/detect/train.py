"""Training a detector: one loop that can be killed anywhere and goes on from its last checkpoint.

run folder:  config.json  metrics.jsonl  last.safetensors  curves.png  confusion.png  result.json
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from central.learn.data import Example
from central.learn.data.augment import FULL, LIGHT, NONE, Strength
from central.learn.data.dataset import Batch, Stream, collate
from central.learn.detect import plots
from central.learn.detect.background import need
from central.learn.detect.config import TrainConfig
from central.learn.detect.loss import Losses, detection_loss
from central.learn.detect.quick import Quick, detect, measure
from central.learn.ema import Average
from central.learn.models import Network, build
from central.learn.models.network import cells
from export import checkpoint
from protocols import files

STRENGTHS: Final[dict[str, Strength]] = {"none": NONE, "light": LIGHT, "full": FULL}
LAST: Final = "last.safetensors"
FLOOR: Final = 0.05
"""Where the cosine ends, as a share of the highest rate."""

Report = Callable[[dict[str, Any]], None]
"""Receives ``step``, ``steps``, ``loss``, ``eta_s`` and, now and then, ``ap50``."""


class TrainingError(Exception):
    """A run that cannot go on. The text says at which step, why, and what is left."""


@dataclass
class Result:
    """A finished run: the averaged network (on the CPU), its last validation and its history."""

    network: Network
    quick: Quick | None
    seconds: float
    history: list[dict[str, Any]] = field(default_factory=list)


def rate_at(step: int, config: TrainConfig) -> float:
    """Return the share of the highest learning rate at `step`: linear warm-up, then a cosine down to FLOOR."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW over what `config.train` leaves to learn; weight decay on convolutions only."""
    if config.train == "heads":
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.split(".")[0] not in ("backbone", "neck"))
    learned = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": config.decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.rate)


def _settings(stored: object) -> TrainConfig | None:
    """Return the settings that a checkpoint holds, those that it does not know yet at their defaults; None if damaged."""
    try:
        return msgspec.convert(stored, TrainConfig)
    except msgspec.ValidationError:
        return None


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


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
    ) -> None:
        if not train:
            raise TrainingError("there is no labelled image to learn from")
        self.config, self.folder = config, folder
        self.train, self.val = list(train), list(val)
        self.shares = np.ones(len(self.train)) if shares is None else shares
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        doubt = torch.from_numpy(config.guess * need(self.train, self.shares))
        self.guess = doubt.to(self.device) if bool(doubt.any()) else None
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        network = build(config.model)
        if start is not None:
            checkpoint.load_into(network, start, strict=False)
        memory = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network: Network = network.to(self.device).to(memory_format=memory)  # type: ignore[call-overload]
        self.average = Average(self.network, config.average)
        self.optimizer = make_optimizer(self.network, config)
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self._resume()

    def _resume(self) -> None:
        path = self.folder / LAST
        if not path.exists():
            files.write_atomic(self.folder / "config.json", msgspec.json.format(msgspec.json.encode(self.config)))
            return
        tensors, about = checkpoint.read(path)
        if _settings(about.get("config")) != self.config:
            raise TrainingError(f"{self.folder}: holds a run with other settings; choose another folder or delete it")
        for prefix, network in (("network.", self.network), ("average.", self.average.network)):
            checkpoint.load_into(
                network, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            )
        state = self.optimizer.state_dict()
        state["state"] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                state["state"].setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict(state)
        self.step = self.average.steps = int(str(about["step"]))
        self.history = list(about["history"])  # type: ignore[call-overload]

    def save(self) -> None:
        """Write the checkpoint that a restart goes on from."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.network.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
        about = {"config": msgspec.to_builtins(self.config), "step": self.step, "history": self.history}
        checkpoint.write(self.folder / LAST, tensors, about)

    def _batches(self, stop: int, strength: Strength) -> DataLoader[Any]:
        config = self.config
        stream = Stream(
            self.train, self.shares, stop * config.batch, (config.model.height, config.model.width), strength,
            config.seed, self.step * config.batch,
        )  # fmt: skip
        return DataLoader(
            stream,
            config.batch,
            num_workers=config.workers,
            collate_fn=collate,
            pin_memory=self.device.type == "cuda",
            prefetch_factor=4 if config.workers else None,
            worker_init_fn=_one_thread,
        )

    def run(self, report: Report = lambda _: None) -> Result:
        """Train to the end and return the result. Raises TrainingError; the last good checkpoint stays."""
        begun, config = time.monotonic(), self.config
        calm_from = round(config.steps * (1 - config.calm)) if config.augment == "full" else config.steps
        phases = ((calm_from, STRENGTHS[config.augment]), (config.steps, LIGHT))
        first = self.step
        for stop, strength in phases:
            if self.step >= stop:
                continue
            for batch in self._batches(stop, strength):
                loss = self._step(batch.to(self.device))
                elapsed = time.monotonic() - begun
                eta = elapsed / (self.step - first) * (config.steps - self.step)
                self._look(loss, eta, report)
        quick = self._validate()
        self._finish(quick, time.monotonic() - begun)
        return Result(self.average.network.cpu(), quick, time.monotonic() - begun, self.history)

    def _step(self, batch: Batch) -> Losses:
        config = self.config
        self.network.train()
        if config.freeze_norms:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        for group in self.optimizer.param_groups:
            group["lr"] = config.rate * rate_at(self.step, config)
        fast = config.amp and self.device.type == "cuda"
        images = batch.images.to(memory_format=torch.channels_last) if config.channels_last else batch.images
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast):
            raw = self.network.raw(images)
        centres, strides = cells(batch.images.shape[2], batch.images.shape[3], self.device)
        losses, _ = detection_loss(raw, batch, centres, strides, self.guess)
        total = losses.total()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
        if not bool(torch.isfinite(norm)):
            kept = (
                f"the checkpoint of {self.folder / LAST} is good"
                if (self.folder / LAST).exists()
                else "nothing was saved yet"
            )
            raise TrainingError(
                f"step {self.step}: loss {float(total):.3g} has no finite gradient "
                f"(samples {self.step * config.batch} to {(self.step + 1) * config.batch - 1}); {kept}; try a lower rate"
            )
        self.optimizer.step()
        self.average.update(self.network)
        self.step += 1
        return losses

    def _look(self, losses: Losses, eta: float, report: Report) -> None:
        config, step = self.config, self.step
        if step % 20 == 0 or step == config.steps:
            row: dict[str, Any] = {"step": step, "loss": float(losses.total().detach())}
            row |= {name: float(value.detach()) for name, value in losses._asdict().items()}
            if config.evaluate_every and step % config.evaluate_every == 0 and step < config.steps:
                quick = self._validate()
                if quick is not None:
                    row |= {"ap50": quick.ap50, "per_class": quick.per_class}
            self.history.append(row)
            with (self.folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            report({**row, "steps": config.steps, "eta_s": eta})
        if step % config.save_every == 0:
            self.save()

    def _validate(self) -> Quick | None:
        if not self.val:
            return None
        return measure(detect(self.average.network, self.val, self.device), self.config.model.labels)

    def _finish(self, quick: Quick | None, seconds: float) -> None:
        self.save()
        result: dict[str, Any] = {"steps": self.step, "seconds": seconds}
        if quick is not None:
            result |= {"ap50": quick.ap50, "per_class": quick.per_class, "score_threshold": quick.threshold}
            plots.confusion(quick.confusion, self.config.model.labels, self.folder / "confusion.png")
        plots.curves(self.history, self.folder / "curves.png")
        files.write_atomic(self.folder / "result.json", json.dumps(result, indent=1).encode())
