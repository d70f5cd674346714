"""What the partial-label aware loss is worth: half of each image's boxes removed, and the classes marked incomplete.

    python -m benchmarks.partial --train COCO:IMAGES --val COCO:IMAGES --steps 600 --seeds 3 --json

Three arms, the same network, steps, images and seeds: `full` has every box; `aware` half of each image's boxes and no
image that is complete for any class (`--incomplete touched`: only for the classes that lost a box there); `negative`
the same half, missing boxes taken for background. Figures are AP50 on the untouched validation images.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np

from benchmarks.common import DATA, main, parser, say
from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run
from central.learn.models import ModelConfig

LABELS: Final = "person,two_wheeler,car,bus,truck"
ARMS: Final = ("full", "aware", "negative")
GOAL: Final = 0.85
"""Share of the full-label AP50 that the partial-aware loss should keep."""

Incomplete = Literal["all", "touched"]


def halve(examples: Sequence[Example], seed: int, incomplete: Incomplete | None) -> list[Example]:
    """Return `examples` with half of each image's boxes removed (of an odd one, the coin decides).

    `incomplete`: ``all`` marks every class incomplete everywhere, ``touched`` those that lost a box in the image, None
    none: what is missing then counts as background.
    """
    random = np.random.default_rng(seed)
    found = []
    for example in examples:
        count = len(example.boxes)
        order = random.permutation(count)
        lost = np.zeros(count, bool)
        lost[order[: count // 2 + int(count % 2 and random.random() < 0.5)]] = True
        complete = example.complete.copy()
        if incomplete == "all":
            complete[:] = False
        elif incomplete == "touched":
            complete[example.classes[lost]] = False
        kept = ~lost
        found.append(
            dataclasses.replace(
                example, boxes=example.boxes[kept], classes=example.classes[kept], weights=example.weights[kept],
                complete=complete,
            )
        )  # fmt: skip
    return found


def split(text: str) -> tuple[Path, Path]:
    """Read ``COCO:IMAGES``."""
    truth, _, images = text.partition(":")
    return Path(truth), Path(images)


def pick(examples: list[Example], limit: int) -> list[Example]:
    """Return `limit` of `examples`, evenly spread; all of them for 0."""
    if not limit or limit >= len(examples):
        return examples
    return [examples[i] for i in np.linspace(0, len(examples) - 1, limit).astype(int)]


def one(arm: str, seed: int, train: list[Example], val: list[Example], options: argparse.Namespace) -> float:
    """Return the AP50 (0..1) of one training run."""
    data = train
    if arm != "full":
        data = halve(train, seed, options.incomplete if arm == "aware" else None)
    labels = tuple(options.labels.split(","))
    config = TrainConfig(
        model=ModelConfig(size=options.size, labels=labels, height=options.side, width=options.side),
        steps=options.steps, batch=options.batch, rate=options.rate, warmup=options.steps // 10, augment="light",
        average=0.99, seed=seed, workers=options.workers, evaluate_every=0, save_every=max(1, options.steps),
    )  # fmt: skip
    if options.guess is not None:
        config = msgspec.structs.replace(config, guess=options.guess)
    with tempfile.TemporaryDirectory() as folder:
        result = Run(config, data, val, Path(folder)).run()
    return result.quick.ap50 if result.quick else 0.0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all arms. Raises DatasetError."""
    labels = tuple(options.labels.split(","))
    train = pick(load(*split(options.train), labels), options.images)
    val = pick(load(*split(options.val), labels), options.val_images)
    begun = time.monotonic()
    found: dict[str, list[float]] = {arm: [] for arm in options.arms}
    for seed in range(options.seeds):
        for arm in options.arms:
            found[arm].append(one(arm, seed, train, val, options))
            say(f"seed {seed} {arm}: AP50 {found[arm][-1]:.4f}")
    arms: dict[str, Any] = {
        arm: {"mean": float(np.mean(v)), "std": float(np.std(v)), "seeds": len(v), "values": v}
        for arm, v in found.items()
    }
    if "full" in arms:
        for arm in arms:
            arms[arm]["share_of_full"] = arms[arm]["mean"] / max(arms["full"]["mean"], 1e-9)
    answer: dict[str, Any] = {
        "arms": arms, "goal": GOAL, "steps": options.steps, "size": options.size, "side": options.side,
        "incomplete": options.incomplete, "images": len(train), "val_images": len(val),
        "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip
    if {"full", "aware"} <= set(arms):
        answer |= {"share_of_full": arms["aware"]["share_of_full"], "ok": arms["aware"]["share_of_full"] >= GOAL}
    return answer


if __name__ == "__main__":
    made = parser((__doc__ or "").split("\n")[0], images=False)
    vehicles = DATA / "vehicles"
    made.add_argument("--train", default=f"{vehicles / 'train.json'}:{vehicles / 'images'}", help="COCO:IMAGES")
    made.add_argument("--val", default=f"{vehicles / 'val.json'}:{vehicles / 'images'}", help="COCO:IMAGES")
    made.add_argument("--labels", default=LABELS)
    made.add_argument("--steps", type=int, default=600)
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--size", default="tiny")
    made.add_argument("--side", type=int, default=192, help="input height and width, pixels")
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--rate", type=float, default=3e-3)
    made.add_argument("--images", type=int, default=1000, help="training images, evenly spread; 0: all")
    made.add_argument("--val-images", type=int, default=300)
    made.add_argument("--incomplete", choices=("all", "touched"), default="all")
    made.add_argument("--guess", type=float, help="weight of the network's own background; else that of training")
    made.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    made.add_argument("--workers", type=int, default=0)
    main(measure, made)
