"""The trainer of self-supervision against a bare loop: the same backbone, views, batch, losses; nothing around them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch

from central.learn.ssl import Scene
from central.learn.ssl.boxes import Boxes
from central.learn.ssl.config import SslConfig
from central.learn.ssl.learner import follow
from central.learn.ssl.material import Stock
from central.learn.ssl.train import Run

TURNS: Final = 4
"""Of trainer and bare loop by turns, so that a busy moment meets both."""


def speed(config: SslConfig, stock: Stock, found: Boxes) -> dict[str, Any]:
    """Return images per second of both, their ratio, and the share of the trainer's time by part."""
    rates: dict[str, list[float]] = {"trainer": [], "bare": []}
    spent: dict[str, float] = {}
    for turn in range(TURNS):
        with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
            run = Run(msgspec.structs.replace(config, seed=turn // 2), stock, found, Path(scratch))
            if turn % 2:
                rates["bare"].append(bare(run))
            else:
                numbers = run.run().numbers
                rates["trainer"].append(numbers["images_per_s"])
                spent = {k: spent.get(k, 0.0) + v for k, v in numbers["time"].items()}
    trainer, plain = (float(np.mean(rates[k])) for k in ("trainer", "bare"))
    shares = {part: seconds / sum(spent.values()) for part, seconds in spent.items()}
    return {"ratio": trainer / plain, "images_per_s": trainer, "bare_images_per_s": plain, "time": shares}


def bare(run: Run) -> float:
    """Return the images per second of the loop without anything around it."""
    weights, count, begun = run.config.pretexts, 0, time.perf_counter()
    for batch in run.batches():
        before = run.step
        _bare_step(run, batch, weights)
        run.step, count = before + 1, count + len(batch.frame)
    return count / (time.perf_counter() - begun)


def _bare_step(run: Run, batch: Any, weights: dict[str, float]) -> None:
    run.student.train()
    run.teacher.train()
    memory = torch.channels_last
    batch = batch._replace(
        first=batch.first.contiguous(memory_format=memory), second=batch.second.contiguous(memory_format=memory)
    )
    scene = Scene(batch, run.student.trunk, run.teacher.trunk, run.step, run.config.steps, torch.Generator())
    parts = [weights[n] * p.loss(scene, run.teacher.pretexts[n]) for n, p in run.student.named()]
    run.optimizer.zero_grad(set_to_none=True)
    torch.stack(parts).sum().backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.student.parameters(), run.config.clip)
    run.optimizer.step()
    follow(run.teacher, run.student, 0.99)
