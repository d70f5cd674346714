"""The loop of self-supervision: any pretexts together, a student and its moving average, killed and resumed anywhere.

run folder:  config.json  metrics.jsonl  last.safetensors  boxes.npz  curves.png  embedding.png  result.json

The checkpoint holds student and teacher, the optimizer, and as ``average.`` the run's result: the student's trunk (the
teacher lags behind where a run is short), with its norms and embedding settled at the end, and what pretexts taught
a detection head.
`central.learn.start.weights_from` takes the run folder as it is.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from central.learn.distributed import ALONE, Group, GroupError
from central.learn.ssl import Batch, PretextError, Scene, Trunk, plots, probe, settle
from central.learn.ssl.boxes import Boxes
from central.learn.ssl.config import SslConfig
from central.learn.ssl.learner import Learner, follow, norms, teacher_of
from central.learn.ssl.material import MaterialError, Stock
from central.learn.ssl.stream import Stream, collate
from central.learn.ssl.watch import Watch
from central.learn.steps import adamw, load_optimizer, loader, optimizer_tensors
from export import checkpoint
from protocols import files

LAST: Final = "last.safetensors"
SIDES: Final = ("student.", "teacher.")
RESULT: Final = "average."
"""Prefix of the trunk that others start from."""
SHOWN: Final = 600
"""Frames in the picture of embeddings."""

Report = Callable[[dict[str, Any]], None]
"""Receives a row of the history with ``steps`` and ``eta_s``; ``warning`` where something is wrong."""


class SslError(ValueError):
    """A run that cannot start or go on. The text says why, and what to do."""


@dataclass
class Clock:
    """Where the time goes, seconds by part."""

    spent: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def lap(self, part: str) -> None:
        """Count the time since the last lap as that of `part`."""
        now = time.perf_counter()
        self.spent[part] = self.spent.get(part, 0.0) + now - self.since
        self.since = now


@dataclass
class Result:
    """A finished run: the settled trunk (on the CPU), its numbers and history."""

    trunk: Trunk
    numbers: dict[str, Any]
    history: list[dict[str, Any]]


def _settings(stored: object) -> SslConfig | None:
    """Return the settings that a checkpoint holds; None where they are none."""
    try:
        return msgspec.convert(stored, SslConfig)
    except msgspec.ValidationError:
        return None


def _channels_last(batch: Batch) -> Batch:
    """Return `batch` with its images in the order in memory that convolutions like: a third faster on CPUs."""
    views = {name: getattr(batch, name) for name in ("first", "second", "plain", "right", "scene")}
    return batch._replace(
        **{name: view.contiguous(memory_format=torch.channels_last) for name, view in views.items() if view is not None}
    )


class Run:
    """A run in its folder."""

    def __init__(
        self, config: SslConfig, stock: Stock, boxes: Boxes | None, folder: Path,
        start: dict[str, Tensor] | None = None, crops: probe.Crops | None = None, device: torch.device | None = None,
        group: Group = ALONE,
    ) -> None:  # fmt: skip
        self.config, self.stock, self.boxes, self.folder, self.crops = config, stock, boxes, folder, crops
        self.group, self.device = group, device or group.device()
        try:
            group.share(config.batch)
        except GroupError as error:
            raise SslError(str(error)) from None
        torch.manual_seed(config.seed)
        self.student = Learner(config)
        for _, pretext in self.student.named():
            pretext.check(stock)
        if start is not None:
            left = checkpoint.load_into(self.student.trunk, start, strict=False)
            if set(left) >= {name for name, _ in self.student.trunk.named_parameters()}:
                raise SslError("none of the weights to start from fits this trunk; are they of another size?")
        self.student.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.student.trunk.fast = config.amp and self.device.type == "cuda"
        self.teacher = teacher_of(self.student)
        self.optimizer = adamw(self.student.parameters(), config.rate, config.decay)
        self.watch = Watch(self.student)
        self.clock = Clock()
        self.step = 0
        self.losses: dict[str, Tensor] = {}
        self.history: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def _resume(self) -> None:
        path, config = self.folder / LAST, self.config
        if not path.exists():
            if self.group.first:
                files.write_atomic(self.folder / "config.json", msgspec.json.format(msgspec.json.encode(config)))
            return
        tensors, about = checkpoint.read(path)
        if _settings(about.get("config")) != config:
            raise SslError(f"{self.folder}: holds a run with other settings; choose another folder or delete it")
        for learner, side in zip((self.student, self.teacher), SIDES, strict=True):
            own = {k.removeprefix(side): v for k, v in tensors.items() if k.startswith(side)}
            checkpoint.load_into(learner, own)
        load_optimizer(self.optimizer, tensors)
        self.step = int(str(about["step"]))
        self.history = list(about["history"])  # type: ignore[call-overload]

    def save(self, result: Trunk | None = None) -> None:
        """Write the checkpoint that a restart goes on from; `result`: the settled trunk, at the end."""
        if not self.group.first:
            return
        tensors: dict[str, Tensor] = {}
        for learner, side in zip((self.student, self.teacher), SIDES, strict=True):
            tensors |= {side + name: tensor for name, tensor in learner.state_dict().items()}
        trunk = result or self.student.trunk
        tensors |= {RESULT + name: tensor for name, tensor in trunk.state_dict().items()}
        for _, pretext in self.student.named():
            heads = pretext.heads(len(self.config.model.labels))
            tensors |= {RESULT + name: tensor.cpu() for name, tensor in heads.items()}
        tensors |= optimizer_tensors(self.optimizer)
        about = {"config": msgspec.to_builtins(self.config), "step": self.step, "history": self.history}
        checkpoint.write(self.folder / LAST, tensors, about)

    def batches(self) -> DataLoader[Any]:
        """Return the batches from the current step on."""
        config = self.config
        stream = Stream(
            self.stock, self.boxes, self.student.needs(), (config.model.height, config.model.width),
            config.steps * config.batch, config.seed, self.step * config.batch, config.workers, config.close,
        )  # fmt: skip
        return loader(stream, self.group.batches(len(stream), config.batch), config.workers, collate, self.device)

    def run(self, report: Report = lambda _: None) -> Result:
        """Learn to the end and return the result. Raises SslError; the last good checkpoint stays."""
        first, begun = self.step, time.perf_counter()
        self.clock = Clock()
        for batch in self.batches() if self.step < self.config.steps else ():
            self.clock.lap("waiting for data")
            self.learn(batch.to(self.device))
            self.clock.lap("learning")
            speed = (self.step - first) * self.config.batch / (time.perf_counter() - begun)
            self._look(speed, report)
        seconds = time.perf_counter() - begun
        return self._finish((self.step - first) * self.config.batch / max(seconds, 1e-9), seconds)

    def learn(self, batch: Batch) -> None:
        """Take one step. Raises SslError."""
        config = self.config
        self.student.train()
        self.teacher.train()  # its norms use the batch's own statistics, as the student's do
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = config.rate * config.rate_at(self.step)
        seed = (config.seed * config.steps + self.step) * self.group.size + self.group.rank
        torch.manual_seed(seed)
        random = torch.Generator().manual_seed(seed)
        scene = Scene(_channels_last(batch), self.student.trunk, self.teacher.trunk, self.step, config.steps, random)
        pairs = [(name, own, self.teacher.pretexts[name]) for name, own in self.student.named()]
        self.losses = {name: own.loss(scene, teacher) for name, own, teacher in pairs}
        total = torch.stack([config.pretexts[name] * loss for name, loss in self.losses.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self.group.average(self.student.parameters())
        norm = nn.utils.clip_grad_norm_(self.student.parameters(), config.clip)
        if not bool(torch.isfinite(norm)):
            kept = "the last checkpoint is good" if (self.folder / LAST).exists() else "nothing was saved yet"
            raise SslError(f"step {self.step}: no finite gradient; {kept}; try a lower rate")
        self.optimizer.step()
        self.losses["total"] = total
        with torch.no_grad():
            for _, own, teacher in pairs:
                own.after(scene, teacher)
        self._share_norms()
        follow(self.teacher, self.student, config.momentum_at(self.step))
        self.step += 1
        seen = next(iter(scene._student.values()), None)
        if seen is not None:
            self.watch.see(seen.features[2])

    def _share_norms(self) -> None:
        """Let all processes have the same statistics in their norms: the mean of all."""
        if self.group.size == 1:
            return
        with torch.no_grad():
            own = [*norms(self.student), *norms(self.teacher)]
            flat = torch.cat([buffer.reshape(-1) for buffer in own])
            distributed.all_reduce(flat)
            flat /= self.group.size
            for buffer, mean in zip(own, torch.split(flat, [b.numel() for b in own]), strict=True):
                buffer.copy_(mean.view_as(buffer))

    def _look(self, speed: float, report: Report) -> None:
        config, step = self.config, self.step
        if not self.group.first:
            return
        if step % config.look_every == 0 or step == config.steps:
            row: dict[str, Any] = {"step": step, "loss": float(self.losses["total"].detach())}
            row |= {f"loss.{n}": float(v.detach()) for n, v in self.losses.items() if n != "total"}
            row |= self.watch.look()
            for name, pretext in self.student.named():
                row |= {f"{name}.{key}": value for key, value in pretext.watched().items()}
            if self.crops and config.probe_every and step % config.probe_every == 0 and step < config.steps:
                row |= probe.probe(self.student.trunk, self.crops)
            self.history.append(row)
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({**row, "images_per_s": round(speed, 2)}) + "\n")
            left = (config.steps - step) * config.batch / speed
            report({**row, "steps": config.steps, "eta_s": left, "images_per_s": speed})
            if step > config.warmup * config.steps:
                for warning in self.watch.warnings(row):
                    report({"warning": warning})
            self.clock.lap("looking")
        if step % config.save_every == 0:
            self.save()
            self.clock.lap("saving")

    def sample(
        self, most: int, size: tuple[int, int] | None = None
    ) -> tuple[list[NDArray[np.uint8]], list[str]]:  # fmt: skip
        """Return up to `most` kept frames as a network of that input `size` (ours) is fed with them, and cameras."""
        kept, (height, width) = self.stock.kept, size or (self.config.model.height, self.config.model.width)
        chosen = kept[np.unique(np.linspace(0, len(kept) - 1, most).astype(int))]
        pixels, cameras = [], []
        for index in chosen:
            one = settle.inputs([self.stock.read(int(index))], height, width)
            pixels += one
            cameras += [self.stock.cameras[self.stock.shots[int(index)].camera]] * len(one)
        return pixels, cameras

    def _finish(self, speed: float, seconds: float) -> Result:
        trunk = copy.deepcopy(self.student.trunk)
        trunk.fast = False
        numbers: dict[str, Any] = {
            "steps": self.step, "seconds": round(seconds, 2), "images_per_s": round(speed, 2),
            "time": {part: round(s, 3) for part, s in self.clock.spent.items()}, **self.stock.about(),
        }  # fmt: skip
        if not self.group.first:
            return Result(trunk.cpu(), numbers, self.history)
        pixels, cameras = self.sample(settle.FRAMES)
        settle.settle_norms(trunk, pixels)
        points = settle.means(trunk.backbone, pixels)
        settle.fit_embedding(trunk.embedding, points)
        if self.crops is not None:
            numbers |= probe.probe(trunk, self.crops)
            self.history.append({"step": self.step, **{k: numbers[k] for k in ("knn", "knn_all")}})
        if self.history:
            last = {k: v for row in self.history[-2:] for k, v in row.items()}
            numbers |= {k: v for k, v in last.items() if k.startswith(("loss", "spread", "rank"))}
        self.save(trunk)
        step = max(1, len(pixels) // SHOWN)
        with torch.no_grad():
            head = trunk.embedding.project.cpu()
            shown = F.normalize(head(points[::step, :, None, None]).flatten(1), dim=1).numpy()
        plots.embedding(shown, cameras[::step], self.folder / "embedding.png")
        plots.curves(self.history, self.folder / "curves.png")
        files.write_atomic(self.folder / "result.json", json.dumps(numbers, indent=1).encode())
        return Result(trunk.cpu().eval(), numbers, self.history)


__all__ = ["Clock", "MaterialError", "PretextError", "Result", "Run", "SslError"]
