"""Tags from partial labels: mAP of every method at every share of known labels.

    python -m benchmarks.tags [--shares 10 30 50 90] [--seeds 3] [--plot tags.png] --json
    python -m benchmarks.tags --train labels.json:images --split 0.5 --backbone base --epochs 30 --json
    python -m benchmarks.tags --tune --json

Heads alone learn, on maps of a frozen backbone that are computed once. Labels are hidden cell by cell (the papers'
protocol); the images that judge are fully known and of other files. The base pack's backbone has seen the boxes of
`street/train` and `vehicles/train`, so that its maps know the labels that are hidden here; by default the backbone is
therefore that of somebody else's detector, which learned from COCO alone (of `multilabel`, which is COCO, use `base`).
Every method has the settings that did best at 10 % known on a 30 % split of the training images, out of one small grid
(`--tune`). `map` is in points.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from benchmarks.common import DATA, main, opened, parser, say
from benchmarks.partial import split
from central.learn.detect.coco import DatasetError
from central.learn.start import network_from
from central.learn.tags import data as tagged
from central.learn.tags import find, ways
from central.learn.tags.config import TagsConfig
from central.learn.tags.data import Tagged
from central.learn.tags.maps import Backbone, Maps, Trunk, cached
from central.learn.tags.plots import shares as draw
from central.learn.tags.train import Training, Watch, train
from edge.runtime import modelfile
from edge.runtime.prepare import Image, planes, stretch
from edge.runtime.session import options as session_options

TRAFFIC: Final = ("person", "two_wheeler", "car", "bus", "truck")
FOREIGN: Final = f"{DATA / 'foreign' / 'FastestDet.onnx'}@input.504"
"""The last features of its backbone, stride 32."""
PLAIN: Final = "masked_bce"
OURS: Final = "hst"
PARTS: Final = ("hst_intra", "hst_inter")
"""Ours with one branch; not baselines, as `hst_bce`, ours with cross entropy, is not."""
GRID: Final[tuple[dict[str, Any], ...]] = tuple(
    {"rate": rate, "epochs": epochs} for rate in (1e-3, 3e-3) for epochs in (12, 20)
)
CONTRAST: Final = (0.05, 0.5)
"""Weights of the contrast between features that are tried where a method has one: the papers', and ten times that."""
CONTRASTED: Final = ("sst", "sarb", "hst", "hst_bce")
TUNED: Final[dict[str, dict[str, Any]]] = {
    "sst": {"contrast": 0.05},
    "sarb": {"contrast": 0.05},
    "hst_bce": {"contrast": 0.05, "sure": 0.5},
    "assume_negative": {"rate": 3e-3, "epochs": 12},
    "csl": {"rate": 3e-3, "epochs": 12},
}
"""What `--tune` chose where it is neither STANDARD nor what `TagsConfig` has."""
STANDARD: Final[dict[str, Any]] = {"rate": 3e-3, "epochs": 20}
SMALL: Final[dict[str, Any]] = {"width": 64, "attention": 32, "hidden": 64}


class Foreign:
    """A tensor inside an ONNX graph that takes BGR / 255, stretched, pooled to half its height and width."""

    def __init__(self, text: str) -> None:
        path, _, self.tensor = text.partition("@")
        model = onnx.load_model_from_string(modelfile.read(Path(path)))
        model.graph.output.append(onnx.helper.make_tensor_value_info(self.tensor, onnx.TensorProto.FLOAT, None))
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
        )
        self.key = text
        given = self.session.get_inputs()[0]
        self.input, (self.height, self.width) = given.name, given.shape[2:]

    def __call__(self, image: Image) -> NDArray[np.float32]:
        fitted, _ = stretch(image, self.height, self.width)
        pixels = planes(fitted, "bgr").astype(np.float32) / 255
        found = torch.from_numpy(self.session.run([self.tensor], {self.input: pixels})[0])
        return np.asarray(F.avg_pool2d(found, 2, ceil_mode=True)[0].numpy())


class Pooled:
    """A backbone of ours, pooled to half its height and width: a quarter of the work, for all methods alike."""

    def __init__(self, inner: Backbone) -> None:
        self.inner, self.key = inner, inner.key + " pooled"

    def __call__(self, image: Image) -> NDArray[np.float32]:
        found = torch.from_numpy(self.inner(image))[None]
        return np.asarray(F.avg_pool2d(found, 2, ceil_mode=True)[0].numpy())


def trunk_of(name: str) -> Trunk:
    """Return the backbone `name`: ``FILE.onnx@TENSOR`` or a pack."""
    if "@" in name:
        return Foreign(name)
    with opened(name) as packs:
        return Pooled(Backbone(network_from(packs[0], tuple(packs[0].manifest.labels))))


def read(parts: Sequence[str], names: tuple[str, ...]) -> Tagged:
    """Return the images of all ``FILE:IMAGES``. Raises DatasetError."""
    return tagged.join([tagged.load(*split(part), names) for part in parts])


class Bench:
    """The images, their maps, and every training on them."""

    def __init__(self, options: argparse.Namespace) -> None:
        names = tuple(options.labels.split(",")) if options.labels else ()
        self.options, whole = options, read(options.train, names)
        trunk, folder = trunk_of(options.backbone), options.cache
        maps = _maps(trunk, whole, folder / "train")
        if options.split:
            judged = np.random.default_rng(0).random(len(whole.paths)) < options.split
            self.train, self.maps = whole.take(np.flatnonzero(~judged)), maps[~judged]
            test, watched = whole.take(np.flatnonzero(judged)), maps[judged]
        else:
            self.train, self.maps, test = whole, maps, read(options.val, whole.names)
            watched = _maps(trunk, test, folder / "val")
        self.watch = Watch(watched, test.labels)

    def config(self, method: str, seed: int, **given: Any) -> TagsConfig:
        """Return the settings of a run; pseudo labels begin after a quarter of the epochs."""
        chosen = {**SMALL, **STANDARD, **TUNED.get(method, {}), **given}
        quarter = max(1, int(chosen["epochs"]) // 4)
        plain = {"warm": quarter, "refresh": quarter, **chosen, "method": method, "seed": seed}
        return msgspec.convert(plain, TagsConfig)

    def one(self, method: str, share: float, seed: int, truth: bool = False, **given: Any) -> dict[str, Any]:
        """Return the last row of a training with `share` (0..1) of the cells known."""
        config = self.config(method, seed, **given)
        labels = tagged.hide(self.train.labels, share, seed)
        run = train(
            config, self.maps, labels, self.train.names, self.watch, every=config.epochs,
            truth=self.train.labels if truth else None,
        )  # fmt: skip
        return run.history[-1]


def _maps(trunk: Trunk, data: Tagged, folder: Path) -> Maps:
    def tell(done: int) -> None:
        if done == len(data.paths) or done % 512 == 0:
            say(f"maps of {folder.name}: {done} of {len(data.paths)}")

    return np.asarray(cached(trunk, data.paths, folder, tell)[0])


def figure(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, spread and number of seeds of mAPs 0..1, in points."""
    points = [100 * value for value in values]
    mean = float(np.mean(points))
    return {"map": mean, "mean": mean, "std": float(np.std(points)), "seeds": len(points), "values": points}


def tune(bench: Bench, names: Sequence[str], seeds: int) -> dict[str, Any]:
    """Return the best settings of each method in GRID, judged on 30 % of the training images, at 10 % known."""
    judged = np.random.default_rng(123).random(len(bench.train.paths)) < 0.3
    bench.watch = Watch(bench.maps[judged], bench.train.labels[judged])
    bench.train, bench.maps = bench.train.take(np.flatnonzero(~judged)), bench.maps[~judged]
    found = {}
    for name in names:
        rows = []
        points = [{**p, "contrast": c} for p in GRID for c in CONTRAST] if name in CONTRASTED else list(GRID)
        for point in points:
            values = [bench.one(name, 0.1, 1000 + seed, **point)["map"] for seed in range(seeds)]
            rows.append({**point, **figure(values)})
            say(f"{name} {point}: {rows[-1]['map']:.1f}")
        best = max(rows, key=lambda row: float(row["map"]))
        found[name] = {"best": {key: best[key] for key in points[0]}, "rows": rows}
    return found


def saved_bytes(run: Training) -> int:
    """Return what autograd keeps for the backward pass of one full step after warming, and the weights, bytes."""
    sizes: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    rows = np.arange(min(run.config.batch, len(run.maps)))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run._step(rows, run.config.epochs - 1, 0.0)
    weights = sum(p.numel() * 4 for m in (run.network, run.learner) for p in m.parameters())
    # Weights, their gradients and the two moments of Adam.
    return sum(sizes.values()) + 3 * weights


def cost(bench: Bench, names: Sequence[str], epochs: int = 3) -> dict[str, Any]:
    """Return processor time and memory of each method over those of masked cross entropy, with everything it does."""
    labels = tagged.hide(bench.train.labels, 0.1, 0)
    found: dict[str, Any] = {}
    runs = {n: Training(bench.config(n, 0, epochs=epochs, warm=0, refresh=5), bench.maps, labels, bench.train.names)
            for n in dict.fromkeys((PLAIN, *names))}  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in runs}
    for epoch in range(epochs):
        for name, run in runs.items():
            begun = time.process_time()
            run.epoch(epoch)
            times[name].append(time.process_time() - begun)
    for name, run in runs.items():
        found[name] = {"seconds": float(np.mean(times[name])), "bytes": saved_bytes(run)}
    for row in found.values():
        row["time_ratio"] = row["seconds"] / found[PLAIN]["seconds"]
        row["memory_ratio"] = row["bytes"] / found[PLAIN]["bytes"]
    return found


def acceptance(rows: dict[str, dict[str, Any]], pseudo: list[dict[str, Any]]) -> dict[str, Any]:
    """Return which of the tests on data hold: benefit, ablation, pseudo labels, assumed negatives."""
    at10 = {name: np.array(row["10"]["values"]) for name, row in rows.items() if "10" in row}
    found: dict[str, Any] = {}
    if {OURS, PLAIN} <= set(at10):
        gain = at10[OURS] - at10[PLAIN]
        late = rows[OURS].get("50", {}).get("map", math.nan) - rows[PLAIN].get("50", {}).get("map", math.nan)
        found["benefit"] = {
            "gain_at_10": float(gain.mean()), "worst_seed": float(gain.min()), "gain_at_50": float(late),
            "ok": bool(gain.mean() >= 1.0 and gain.min() >= -0.3 and not late < -0.3),
        }  # fmt: skip
    if {OURS, PLAIN, *PARTS} <= set(at10):
        each = {part: float((at10[part] - at10[PLAIN]).mean()) for part in PARTS}
        both = float(at10[OURS].mean() - max(at10[part].mean() for part in PARTS))
        found["ablation"] = {**each, "both_over_best": both, "ok": min(each.values()) >= -0.2 and both >= -0.2}
    if pseudo:
        precision, recall = (float(np.mean([row[f"any_{k}"] for row in pseudo])) for k in ("precision", "recall"))
        prior = float(np.mean([row["prior"] for row in pseudo]))
        enough = precision >= 0.7 and precision >= 3 * prior
        found["pseudo"] = {
            "precision": precision, "recall": recall, "prior": prior,
            "precision_over_prior": precision / max(prior, 1e-9), "ok": bool(enough and recall > 0.1),
        }  # fmt: skip
    if {"assume_negative", PLAIN} <= set(at10):
        worse = float((at10[PLAIN] - at10["assume_negative"]).mean())
        found["assumed"] = {"worse_by": worse, "ok": worse >= 3.0}
    return found


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return every method at every share. Raises DatasetError."""
    torch.set_num_threads(1)
    begun = time.monotonic()
    for name in options.methods:
        find(name)
    if options.cache is None:
        with tempfile.TemporaryDirectory() as folder:
            options.cache = Path(folder)
            return run(options)
    bench = Bench(options)
    if options.tune:
        return {"tuned": tune(bench, options.methods, options.seeds), "seconds": round(time.monotonic() - begun, 1)}
    answer: dict[str, Any] = {"images": len(bench.train.paths), "judged": len(bench.watch.labels),
                              "tags": len(bench.train.names), "backbone": options.backbone}  # fmt: skip
    if options.cost:
        return {**answer, "cost": cost(bench, options.methods)}
    given = {"epochs": options.epochs} if options.epochs else {}
    rows: dict[str, dict[str, Any]] = {name: {} for name in options.methods}
    pseudo: list[dict[str, Any]] = []
    for share in options.shares:
        for name in options.methods:
            told = name == OURS and share == 10
            seeds = range(options.first, options.first + options.seeds)
            found = [bench.one(name, share / 100, seed, told, **given) for seed in seeds]
            pseudo += found if name == OURS and share == 10 else []
            rows[name][str(share)] = figure([row["map"] for row in found])
            say(f"{share} % {name}: {rows[name][str(share)]['map']:.1f} +- {rows[name][str(share)]['std']:.1f}")
    for path in options.earlier:
        added = json.loads(path.read_bytes().splitlines()[-1])
        pseudo += added["pseudo"]
        for name, own in added["methods"].items():
            rows[name] = {**own, **rows.get(name, {})}
    every = sorted({share for row in rows.values() for share in row}, key=int)
    whole = {name: row for name, row in rows.items() if len(row) == len(every)}
    averages = {name: float(np.mean([row[share]["map"] for share in every])) for name, row in whole.items()}
    answer |= {"methods": rows, "averages": averages, "acceptance": acceptance(rows, pseudo)}
    if OURS in averages:
        others = {name: value for name, value in averages.items() if not name.startswith(OURS)}
        answer["ahead_of_all"] = all(averages[OURS] > value for value in others.values())
    answer |= {"pseudo": pseudo, "seconds": round(time.monotonic() - begun, 1)}
    if options.plot:
        draw(rows, options.plot)
    return answer


def arguments() -> argparse.ArgumentParser:
    """Return the options."""
    made = parser((__doc__ or "").split("\n")[0], images=False)
    street, vehicles = DATA / "street", DATA / "vehicles"
    made.add_argument("--train", nargs="+", help="FILE:IMAGES; COCO, table or list",
                      default=[f"{f / 'train.json'}:{f / 'images'}" for f in (street, vehicles)])  # fmt: skip
    made.add_argument("--val", nargs="+", default=[f"{f / 'val.json'}:{f / 'images'}" for f in (street, vehicles)])
    made.add_argument("--split", type=float, default=0.0, help="judge on this share of --train, and not on --val")
    made.add_argument("--images", help="folder of the training images; with --coco in place of --train")
    made.add_argument("--coco", help="their COCO file")
    made.add_argument("--test-images", help="folder of the images that judge; with --test-coco in place of --val")
    made.add_argument("--test-coco", help="their COCO file")
    made.add_argument("--labels", default="", help="tags, separated by commas; else those of the file")
    foreign = Path(FOREIGN.partition("@")[0]).is_file()
    made.add_argument("--backbone", default=FOREIGN if foreign else "base", help="a pack, or FILE.onnx@TENSOR")
    made.add_argument("--shares", type=int, nargs="+", default=[10, 30, 50, 90], help="percent of cells known")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--first", type=int, default=0, help="the first seed")
    made.add_argument("--methods", nargs="+", default=list(ways()))
    made.add_argument("--epochs", type=int, default=0, help="instead of what was tuned")
    made.add_argument("--cache", type=Path, help="folder that keeps the maps")
    made.add_argument("--with", dest="earlier", type=Path, nargs="+", default=[], help="answers of parts")
    made.add_argument("--tune", action="store_true", help="choose settings on a split of the training images")
    made.add_argument("--cost", action="store_true", help="time and memory instead of accuracy")
    made.add_argument("--plot", type=Path, help="picture of the curves")
    return made


def _run(options: argparse.Namespace) -> dict[str, Any]:
    for flag, file, images in (("train", "coco", "images"), ("val", "test_coco", "test_images")):
        given = getattr(options, file), getattr(options, images)
        if any(given):
            if not all(given):
                raise DatasetError(f"--{file.replace('_', '-')} and --{images.replace('_', '-')} go together")
            setattr(options, flag, [":".join(given)])
    return run(options)


if __name__ == "__main__":
    main(_run, arguments())
