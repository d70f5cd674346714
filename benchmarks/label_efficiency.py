"""How many labels each way to choose frames needs: AP50 against the share of frames that are labelled.

    python -m benchmarks.label_efficiency [--shares 0.05 0.1 0.2 0.35 0.5 1] [--seeds 5] [--strategies ours] --json

From the same first frames and the same weights (`--start`, else none), every strategy adds frames up to the next share
by what the network of the share before sees; at each share a network is trained anew from those weights, with the same
number of steps for all. `auc` is the area under AP50 over the share (0..1); `labels_to_reach_random_half` the share of
frames at which a strategy first has the AP50 that chance has at half of them, by linear interpolation, over that half;
null where it never has. `auc_by_boxes` is the area over the share of all boxes instead, since people draw boxes: from
the first frames' boxes to HALF of all. With `--keep` a run that was interrupted goes on from the last fit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.common import DATA, main, parser, say
from benchmarks.partial import pick, split
from central.learn import families
from central.learn.acquire import Pool, acquisition, acquisitions
from central.learn.acquire.look import look, quality
from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.data.dataset import evened
from central.learn.detect.coco import DatasetError
from central.learn.detect.command import size_of
from central.learn.detect.config import TrainConfig
from central.learn.detect.quick import detect, measure
from central.learn.detect.train import Run
from central.learn.models import ModelConfig
from central.learn.start import weights_from
from export import checkpoint
from protocols import files

LABELS: Final = ("person", "two_wheeler", "car", "bus", "truck")
CHANCE: Final = "random"
HALF: Final = 0.5
LEFT_OUT: Final = ("inconsistency", "missed")
"""What needs video."""
APART: Final = ("seeds", "strategies", "plot", "keep", "json", "workers")
"""Options that change no curve."""


def boxes(examples: Sequence[Example]) -> int:
    """Return how many boxes a person drew for `examples`."""
    return sum(len(e.boxes) for e in examples)


class Bench:
    """One seed: the same first frames for every strategy."""

    def __init__(self, options: argparse.Namespace, seed: int, train: list[Example], val: list[Example]) -> None:
        self.options, self.seed, self.train, self.val = options, seed, train, val
        height, width = size_of(options.input)
        self.model = ModelConfig(size=options.size, labels=LABELS, height=height, width=width)
        random = np.random.default_rng(seed)
        self.first = [int(i) for i in random.permutation(len(train))[: max(2, round(options.shares[0] * len(train)))]]
        self.start = weights_from(options.start, LABELS) if options.start else None
        self.known: dict[tuple[int, ...], tuple[float, Any]] = {}

    def fit(self, chosen: Sequence[int]) -> tuple[float, Any]:
        """Return AP50 and the network trained on `chosen`; the same set is trained once."""
        key = tuple(sorted(chosen))
        if key not in self.known:
            self.known[key] = self._kept(key) or self._fit(key)
        return self.known[key]

    def _file(self, key: tuple[int, ...]) -> Path | None:
        """Return where the fit on `key` is kept, if fits are: a run that goes on need not repeat it."""
        if self.options.keep is None:
            return None
        said = {name: str(value) for name, value in vars(self.options).items() if name not in APART}
        name = hashlib.sha256(repr((sorted(said.items()), key)).encode()).hexdigest()[:16]
        return Path(f"{self.options.keep}.fits") / f"{self.seed}-{name}.safetensors"

    def _kept(self, key: tuple[int, ...]) -> tuple[float, Any] | None:
        path = self._file(key)
        if path is None or not path.exists():
            return None
        tensors, about = checkpoint.read(path)
        network: Any = families.of(self.model).build(self.model)
        checkpoint.load_into(network, tensors)
        return float(str(about["ap50"])), network.eval()

    def _fit(self, key: tuple[int, ...]) -> tuple[float, Any]:
        steps = self.options.steps
        config = TrainConfig(
            model=self.model, steps=steps, batch=self.options.batch, rate=self.options.rate, warmup=steps // 10,
            augment="light", average=0.99, seed=self.seed, workers=self.options.workers, evaluate_every=0,
            save_every=steps,
        )  # fmt: skip
        own = [self.train[i] for i in key]
        with tempfile.TemporaryDirectory() as folder:
            run = Run(config, own, [], Path(folder), evened(own, np.ones(len(own))), self.start)
            network = run.run().network.eval()
        found = detect(network, self.val, next(network.parameters()).device)
        ap50, path = measure(found, LABELS).ap50, self._file(key)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write(path, dict(network.state_dict()), {"ap50": ap50})
        return ap50, network

    def follow(self, name: str) -> list[tuple[float, float, int]]:
        """Return share, AP50 and boxes at each share for the strategy `name`."""
        chosen, curve = list(self.first), []
        ap50, network = self.fit(chosen)
        curve.append((len(chosen) / len(self.train), ap50, boxes([self.train[i] for i in chosen])))
        for share in self.options.shares[1:]:
            rest = [i for i in range(len(self.train)) if i not in set(chosen)]
            wanted = round(share * len(self.train)) - len(chosen)
            chosen += self._more(name, network, chosen, rest, wanted)
            ap50, network = self.fit(chosen)
            curve.append((len(chosen) / len(self.train), ap50, boxes([self.train[i] for i in chosen])))
            say(f"seed {self.seed} {name}: {curve[-1][0]:.0%} of the frames, {curve[-1][2]} boxes, AP50 {ap50:.4f}")
        return curve

    def _more(self, name: str, network: Any, chosen: list[int], rest: list[int], wanted: int) -> list[int]:
        if wanted >= len(rest):
            return rest
        own = [self.train[i] for i in chosen]
        if name == CHANCE:
            order = np.random.default_rng((self.seed, len(chosen))).permutation(len(rest))
            return [rest[int(i)] for i in order[:wanted]]
        unseen = look(network, [self.train[i] for i in rest])
        pool = Pool(unseen, look(network, own), quality(network, own), self.seed)
        return [rest[i] for i in acquisition(name).choose(pool, wanted)]


def area(curve: Sequence[tuple[float, float, int]]) -> float:
    """Return the area under AP50 over the share, from the first share to the last, per unit of share."""
    shares, values = np.array([c[0] for c in curve]), np.array([c[1] for c in curve])
    return float(np.trapezoid(values, shares) / (shares[-1] - shares[0]))


def by_boxes(curve: Sequence[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Return `curve` over the share of all boxes instead of frames, cut at HALF of them by interpolation."""
    shares, values = np.array([c[2] for c in curve]) / curve[-1][2], np.array([c[1] for c in curve])
    inside = [(float(x), float(y), c[2]) for x, y, c in zip(shares, values, curve, strict=True) if x < HALF]
    return [*inside, (HALF, float(np.interp(HALF, shares, values)), round(HALF * curve[-1][2]))]


def reaches(curve: Sequence[tuple[float, float, int]], wanted: float) -> float | None:
    """Return the share at which `curve` first has the AP50 `wanted`; None where it never has."""
    for (x0, y0, _), (x1, y1, _) in pairwise(curve):
        if y0 >= wanted:
            return x0
        if y1 >= wanted:
            return x0 + (x1 - x0) * (wanted - y0) / (y1 - y0)
    return None


def summary(curves: dict[str, list[list[tuple[float, float, int]]]]) -> dict[str, Any]:
    """Return the figures of every strategy over the seeds."""
    found: dict[str, Any] = {}
    halves = [float(np.interp(HALF, [c[0] for c in curve], [c[1] for c in curve])) for curve in curves[CHANCE]]
    base = [area(curve) for curve in curves[CHANCE]]
    for name, own in curves.items():
        areas = [area(curve) for curve in own]
        reached = [reaches(curve, half) for curve, half in zip(own, halves, strict=True)]
        got = [r / HALF for r in reached if r is not None]
        found[name] = {
            "auc": float(np.mean(areas)), "mean": float(np.mean(areas)), "std": float(np.std(areas)),
            "seeds": len(own), "ahead_of_random": float(np.mean(np.subtract(areas, base))),
            "ahead_of_random_std": float(np.std(np.subtract(areas, base))),
            "auc_by_boxes": float(np.mean([area(by_boxes(curve)) for curve in own])),
            "labels_to_reach_random_half": float(np.mean(got)) if len(got) == len(reached) else None,
            "reached": len(got),
            "curve": [
                {"share": own[0][k][0], "ap50": float(np.mean([c[k][1] for c in own])),
                 "ap50_std": float(np.std([c[k][1] for c in own])), "boxes": float(np.mean([c[k][2] for c in own]))}
                for k in range(len(own[0]))
            ],
        }  # fmt: skip
    return found


def plot(strategies: dict[str, Any], path: Path) -> None:
    """Draw every curve into the picture at `path`."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, row in strategies.items():
        x, y = [c["share"] for c in row["curve"]], np.array([c["ap50"] for c in row["curve"]])
        spread = np.array([c["ap50_std"] for c in row["curve"]])
        wide = 2.2 if name in ("ours", CHANCE) else 1
        axes.plot(x, y, marker="o", markersize=3, linewidth=wide, label=f"{name} ({row['auc']:.3f})")
        axes.fill_between(x, y - spread, y + spread, alpha=0.08)
    axes.set(xlabel="share of the frames that are labelled", ylabel="AP50", title="AP50 against labels (area)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


class _Kept:
    """The curves of a run that was interrupted, in a file that names what they were measured with."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.path: Path | None = options.keep
        self.about = json.loads(json.dumps({k: v for k, v in vars(options).items() if k not in APART}, default=str))
        self.curves: dict[str, list[tuple[float, float, int]]] = {}
        if self.path is not None and self.path.exists():
            stored = json.loads(self.path.read_text())
            if stored["about"] != self.about:
                raise DatasetError(f"{self.path}: holds curves of other settings; name another file or delete it")
            self.curves = {name: [(x, y, n) for x, y, n in curve] for name, curve in stored["curves"].items()}

    def get(self, seed: int, name: str) -> list[tuple[float, float, int]] | None:
        return self.curves.get(f"{seed} {name}")

    def put(self, seed: int, name: str, curve: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
        self.curves[f"{seed} {name}"] = curve
        if self.path is not None:
            stored = {"about": self.about, "curves": self.curves}
            files.write_atomic(self.path, json.dumps(stored, indent=1).encode())
        return curve


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return the curves of all strategies. Raises DatasetError."""
    begun = time.monotonic()
    kept = _Kept(options)
    train = [e for part in options.train for e in load(*split(part), LABELS)]
    train = pick(train, options.images)
    val = pick([e for part in options.val for e in load(*split(part), LABELS)], options.val_images)
    curves: dict[str, list[list[tuple[float, float, int]]]] = {name: [] for name in (CHANCE, *options.strategies)}
    for seed in range(options.seeds):
        bench = Bench(options, seed, train, val)
        for name, found in curves.items():
            found.append(kept.get(seed, name) or kept.put(seed, name, bench.follow(name)))
    answer = {
        "strategies": summary(curves), "steps": options.steps, "frames": len(train), "val_frames": len(val),
        "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip
    if options.plot:
        plot(answer["strategies"], options.plot)
    return answer


if __name__ == "__main__":
    made = parser((__doc__ or "").split("\n")[0], images=False)
    street, vehicles = DATA / "street", DATA / "vehicles"
    both = [f"{folder / 'train.json'}:{folder / 'images'}" for folder in (street, vehicles)]
    judges = [f"{folder / 'val.json'}:{folder / 'images'}" for folder in (street, vehicles)]
    made.add_argument("--train", nargs="+", default=both, help="COCO:IMAGES")
    made.add_argument("--val", nargs="+", default=judges, help="COCO:IMAGES")
    made.add_argument("--images", type=int, default=0, help="training images, evenly spread; 0: all")
    made.add_argument("--val-images", type=int, default=0)
    made.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.35, 0.5, 1.0])
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--size", default="tiny")
    made.add_argument("--input", default="192x320", help="HEIGHTxWIDTH")
    made.add_argument("--steps", type=int, default=600)
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--rate", type=float, default=3e-3)
    made.add_argument("--start", help="weights to start from: a run folder, safetensors or a pack")
    made.add_argument("--workers", type=int, default=1, help="processes that load images")
    made.add_argument("--keep", type=Path, help="file of the curves so far; go on from it")
    made.add_argument("--plot", type=Path, help="picture of the curves")
    others = [n for n in acquisitions() if n not in (CHANCE, *LEFT_OUT)]
    made.add_argument("--strategies", nargs="+", default=others)
    main(run, made)
