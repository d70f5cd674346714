"""Does the pack of the most similar site start better? Cameras as sites, a few labelled frames of a new one.

    python -m benchmarks.transfer [--coco COCO:IMAGES ...] [--base COCO:IMAGES] [--seeds 3] --json

A network is trained on the photos of `--base`; from it, one for each of the cameras with most frames. Then every
camera in turn is new: `--few` frames of it are labelled, each of the other networks is trained on them for `--steps`
steps, and judged on the camera's other frames. `starts`: mean AP50 with the start that `wayside-central round --start
auto` would propose, with the least similar one, with the base, and with the best one in hindsight. `rank`: Spearman's
correlation of what is known before training with the AP50 after, over the starts of a camera: the likeness, its two
parts, and the AP50 that a network has on the labelled frames already (`at_once`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from benchmarks.common import DATA, main, opened, parser, say
from benchmarks.partial import pick, split
from central.learn import families
from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.data.dataset import evened
from central.learn.detect.command import size_of
from central.learn.detect.config import TrainConfig
from central.learn.detect.quick import detect, measure
from central.learn.detect.train import Run
from central.learn.models import ModelConfig
from central.learn.transfer_similarity import Place, likeness
from edge.runtime.model import Model

LABELS: Final = ("person", "two_wheeler", "car", "bus", "truck")
BASE: Final = "base"
KNOWN: Final = ("likeness", "images", "labels", "at_once")


@dataclass(frozen=True)
class Start:
    """A network to start from, and what is known of where it was trained."""

    name: str
    weights: Mapping[str, Any]
    place: Place


class Bench:
    """Trains, judges and embeds, the same way for all."""

    def __init__(self, options: argparse.Namespace, model: Model) -> None:
        height, width = size_of(options.input)
        self.config = ModelConfig(size=options.size, labels=LABELS, height=height, width=width)
        self._batch, self._model = options.batch, model
        self._points: dict[Path, Any] = {}

    def fit(self, own: Sequence[Example], steps: int, rate: float, seed: int, start: Any = None) -> Any:
        """Return a network trained on `own`."""
        config = TrainConfig(
            model=self.config, steps=steps, batch=self._batch, rate=rate, warmup=steps // 10, augment="light",
            average=0.9 if start else 0.99, freeze_norms=start is not None, seed=seed, workers=0, evaluate_every=0,
            save_every=steps,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            run = Run(config, list(own), [], Path(folder), evened(own, np.ones(len(own))), start)
            return run.run().network.eval()

    def fitted(self, weights: Mapping[str, Any]) -> Any:
        """Return a network with `weights`."""
        network: Any = families.of(self.config).build(self.config)
        network.load_state_dict(dict(weights))
        return network.eval()

    def judge(self, network: Any, held: Sequence[Example]) -> float:
        """Return AP50 on `held`."""
        found = detect(network, list(held), next(network.parameters()).device)
        return float(measure(found, LABELS).ap50)

    def place(self, name: str, own: Sequence[Example]) -> Place:
        """Return what is known of `own` without training."""
        for example in own:
            if example.path not in self._points:
                image = cv2.imread(str(example.path), cv2.IMREAD_COLOR)
                self._points[example.path] = (
                    None if image is None else self._model.infer(np.asarray(image, np.uint8)).embedding
                )
        points = [p for e in own if (p := self._points[e.path]) is not None]
        boxes = Counter(LABELS[int(c)] for e in own for c in e.classes)
        return Place(name, np.array(points, np.float64), boxes, len(own))


def cameras(options: argparse.Namespace) -> dict[str, list[Example]]:
    """Return the frames of the cameras with most of them."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for part in options.coco:
        for example in load(*split(part), LABELS):
            groups[example.camera].append(example)
    most = sorted(groups, key=lambda name: -len(groups[name]))[: options.cameras]
    return {name: groups[name] for name in sorted(most)}


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; None where one side does not vary."""
    one, two = (np.argsort(np.argsort(values)).astype(float) for values in (first, second))
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(one, two)[0, 1])


def tried(
    bench: Bench, options: argparse.Namespace, target: str, own: list[Example], starts: Sequence[Start], seed: int
) -> list[dict[str, Any]]:
    """Return for each start how it fares at the camera `target`."""
    order = np.random.default_rng(seed).permutation(len(own))
    few = [own[i] for i in order[: options.few]]
    held = [own[i] for i in order[options.few :][: options.held]]
    here, rows = bench.place(target, few), []
    for start in starts:
        if start.name == target:
            continue
        row = likeness(start.name, start.place, here)
        network = bench.fit(few, options.steps, options.tuning_rate, seed, start.weights)
        rows.append({
            "target": target, "seed": seed, "start": start.name, "likeness": row.likeness, "images": row.images,
            "labels": row.labels, "at_once": bench.judge(bench.fitted(start.weights), few),
            "ap50": bench.judge(network, held),
        })  # fmt: skip
    return rows


def summary(rows: list[dict[str, Any]], seeds: int) -> dict[str, Any]:
    """Return the mean AP50 of each way to choose, by seed, and how well the choice is foretold."""
    ways: dict[str, list[float]] = defaultdict(list)
    ranks: dict[str, list[float]] = defaultdict(list)
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[(row["target"], row["seed"])].append(row)
    for seed in range(seeds):
        found: dict[str, list[float]] = defaultdict(list)
        for (_, of), group in groups.items():
            if of == seed:
                ordered = sorted(group, key=lambda r: -(r["likeness"] or 0.0))
                found["most_similar"].append(ordered[0]["ap50"])
                found["least_similar"].append(ordered[-1]["ap50"])
                found[BASE].append(next(r["ap50"] for r in group if r["start"] == BASE))
                found["best_in_hindsight"].append(max(r["ap50"] for r in group))
                found["mean_of_all"].append(float(np.mean([r["ap50"] for r in group])))
        for name, values in found.items():
            ways[name].append(float(np.mean(values)))
    for group in groups.values():
        for known in KNOWN:
            said = spearman([r.get(known) or 0.0 for r in group], [r["ap50"] for r in group])
            if said is not None:
                ranks[known].append(said)
    plain = {n: {"mean": float(np.mean(v)), "std": float(np.std(v)), "seeds": len(v)} for n, v in ways.items()}
    return {
        "starts": plain, "rank": {name: float(np.mean(v)) for name, v in ranks.items()},
        "ahead_of_base": [a - b for a, b in zip(ways["most_similar"], ways[BASE], strict=True)],
        "ahead_of_least": [a - b for a, b in zip(ways["most_similar"], ways["least_similar"], strict=True)],
    }  # fmt: skip


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure. Raises DatasetError."""
    begun = time.monotonic()
    sites = cameras(options)
    photos = pick(load(*split(options.base), LABELS), options.base_images)
    with opened("base") as (pack,), Model(pack, "cpu") as model:
        bench = Bench(options, model)
        base = bench.fit(photos, options.base_steps, options.rate, 0)
        starts = [Start(BASE, base.state_dict(), bench.place(BASE, photos[:: max(1, len(photos) // 48)]))]
        say(f"base after {time.monotonic() - begun:.0f} s")
        for name, own in sites.items():
            learned = pick(own, options.site_images)
            network = bench.fit(learned, options.site_steps, options.tuning_rate, 0, base.state_dict())
            starts.append(Start(name, network.state_dict(), bench.place(name, learned)))
        say(f"{len(sites)} sites after {time.monotonic() - begun:.0f} s")
        rows = []
        for seed in range(options.seeds):
            for target, own in sites.items():
                rows += tried(bench, options, target, own, starts, seed)
            say(f"seed {seed} after {time.monotonic() - begun:.0f} s")
    return {**summary(rows, options.seeds), "rows": rows, "seconds": round(time.monotonic() - begun, 1)}


if __name__ == "__main__":
    made = parser((__doc__ or "").split("\n")[0], images=False)
    street, vehicles = DATA / "street", DATA / "vehicles"
    made.add_argument("--coco", nargs="+", default=[f"{street / n}.json:{street / 'images'}" for n in ("train", "val")])
    made.add_argument("--base", default=f"{vehicles / 'train.json'}:{vehicles / 'images'}")
    made.add_argument("--cameras", type=int, default=5)
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--size", default="tiny")
    made.add_argument("--input", default="192x320", help="HEIGHTxWIDTH")
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--rate", type=float, default=3e-3)
    made.add_argument("--tuning-rate", type=float, default=1e-3)
    made.add_argument("--base-images", type=int, default=300)
    made.add_argument("--base-steps", type=int, default=400)
    made.add_argument("--site-images", type=int, default=40)
    made.add_argument("--site-steps", type=int, default=120)
    made.add_argument("--few", type=int, default=8, help="labelled frames of the new camera")
    made.add_argument("--held", type=int, default=16, help="frames of it that are judged")
    made.add_argument("--steps", type=int, default=30)
    main(run, made)
