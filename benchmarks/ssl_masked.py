"""How well hidden cells are drawn from the visible ones, on cameras that were not learned from; sparse and dense masks.

    python -m benchmarks.ssl_masked [--coco train.json] [--judge val.json] [--steps 1200] [--seeds 1] [--json]

`ratio` is the mean squared error on hidden cells (pixels of a patch less its mean, in units of its deviation) over that
of who draws the mean of the visible patches; 1 is worthless. `dense` hides pixels alone, so that the holes are features
like any other: same steps, same seed. `nothing learned` is the network as it was before.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import DATA, main, parser, say
from central.learn.models import ModelConfig
from central.learn.ssl import Needs, Trunk, duplicates, sources, sparse
from central.learn.ssl.config import SslConfig
from central.learn.ssl.losses import masked_error, normalised, patches
from central.learn.ssl.pretexts.masked import CELL, Masked
from central.learn.ssl.stream import Stream, collate
from central.learn.ssl.train import Run

MASKS = 4
"""Masks that each frame is judged under."""
BATCH = 16


def judged(coco: Path, images: Path, height: int, width: int) -> Tensor:
    """Return every frame of `coco` as the pretext sees it, ``[N, 3, height, width]`` uint8."""
    stock = sources.coco(coco, images)
    stream = Stream(stock, None, Needs(plain=True), (height, width), len(stock.shots), seed=1)
    # Each frame once: the stream draws them, so every place is asked for by its own frame.
    rng = np.random.default_rng(7)
    samples = [stream._plain(i, image, rng) for i in range(len(stock.shots)) if (image := stream._image(i)) is not None]
    blank = {"frame": np.array(0), "camera": np.array(0)}
    found = collate([blank | sample for sample in samples]).plain
    assert found is not None
    return found


@torch.no_grad()
def error(pretext: Masked, trunk: Trunk, frames: Tensor, share: float) -> tuple[float, float]:
    """Return the errors of `pretext`, and of the mean of the visible patches, on hidden cells of `frames`."""
    pretext.eval(), trunk.eval()
    random = torch.Generator().manual_seed(11)
    own, plain, count = 0.0, 0.0, 0
    for part in frames.split(BATCH):  # type: ignore[no-untyped-call]
        wanted = normalised(patches(part.float() / 255, CELL))
        for _ in range(MASKS):
            visible = sparse.draw(len(part), wanted.shape[1], wanted.shape[2], share, random)
            seen = visible[:, 0, :, :, None].float()
            mean = (wanted * seen).sum((1, 2), keepdim=True) / seen.sum((1, 2), keepdim=True)
            flat = min(
                float(masked_error(guess.expand_as(wanted), wanted, ~visible[:, 0])) for guess in (mean, 0 * mean)
            )
            drawn = pretext.draw(pretext.encode(trunk, part, visible), visible)
            own += float(masked_error(drawn, wanted, ~visible[:, 0])) * len(part)
            plain, count = plain + flat * len(part), count + len(part)
    return own / count, plain / count


def learned(arguments: argparse.Namespace, dense: bool, seed: int, frames: Tensor) -> dict[str, float]:
    """Learn, and return the ratios before and after with the seconds between."""
    model = ModelConfig(size=arguments.size, labels=("any",), height=arguments.height, width=arguments.width)
    config = SslConfig(
        model=model, pretexts={"masked": 1.0}, options={"masked": {"dense": dense}}, steps=arguments.steps,
        batch=arguments.batch, rate=arguments.rate, seed=seed, probe_every=0, save_every=arguments.steps + 1,
    )  # fmt: skip
    stock = duplicates.without(sources.coco(arguments.coco, arguments.images))
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, stock, None, Path(folder))
        pretext = run.student.pretexts["masked"]
        assert isinstance(pretext, Masked)
        share = pretext.options.hidden
        before = error(pretext, run.student.trunk, frames, share)
        begun, cpu = time.perf_counter(), time.process_time()
        for batch in run.batches():
            run.learn(batch)
            if run.step % 100 == 0:
                say(f"step {run.step}: loss {float(run.losses['masked'].detach()):.3f}")
        spent, work = time.perf_counter() - begun, time.process_time() - cpu
        after = error(pretext, run.student.trunk, frames, share)
    return {
        "ratio": after[0] / after[1], "untrained": before[0] / before[1], "visible_mean": after[1], "seconds": spent,
        "cpu_seconds": work,
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    torch.set_num_threads(1)
    frames = judged(arguments.judge, arguments.images, arguments.height, arguments.width)
    answer: dict[str, Any] = {"frames": len(frames)}
    for name in arguments.only.split(","):
        rows = []
        for seed in range(arguments.seeds):
            rows.append(learned(arguments, name == "dense", seed, frames))
            say(f"{name}, seed {seed}: " + ", ".join(f"{k} {v:.3f}" for k, v in rows[-1].items()))
        answer[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return answer


if __name__ == "__main__":
    made = parser(__doc__ or "")
    made.set_defaults(coco=DATA / "street" / "train.json")
    made.add_argument("--judge", type=Path, default=DATA / "street" / "val.json", help="frames of other cameras")
    made.add_argument("--size", default="tiny")
    made.add_argument("--height", type=int, default=192)
    made.add_argument("--width", type=int, default=320)
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--rate", type=float, default=2e-3)
    made.add_argument("--steps", type=int, default=1200)
    made.add_argument("--seeds", type=int, default=1)
    made.add_argument("--only", default="sparse,dense")
    main(run, made)
