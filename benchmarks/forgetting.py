"""What is forgotten, and what is learned, site after site and class after class: every strategy beside joint training.

    python -m benchmarks.forgetting [--only sites] [--seeds 3] [--strategies replay-distil finetune] [--tune] --json

sites    a network that knows ordinary photos learns one group of cameras after the other; after each it is judged on
         held-back frames of all groups so far
classes  a network that knows three classes learns two more from other photos, labelled for these two alone

Between two steps a strategy keeps its network and a memory of at most `--memory` of the frames so far, nothing else.
`joint` has all frames and labels at once, the steps of all others together, and the same start. `share_of_joint` is
AP50 over everything seen, over that of joint training of the same seed.

`--tune` is for choosing settings: the first files of cameras alone, in other orders, and for new classes a part of the
training photos in place of those that judge.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.common import DATA, main, parser, say
from benchmarks.partial import split
from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.data.dataset import evened, read_image
from central.learn.detect.command import size_of
from central.learn.detect.config import TrainConfig
from central.learn.detect.quick import detect, measure
from central.learn.detect.train import Run
from central.learn.incremental import DEFAULT, Memory, Task, strategies, strategy
from central.learn.incremental.memory import choose
from central.learn.incremental.metrics import backward_transfer, forgetting, intransigence
from central.learn.models import ModelConfig
from central.learn.start import fitted

LABELS: Final = ("person", "two_wheeler", "car", "bus", "truck")
ZOOM: Final = 1.5
"""Images are kept at this many times the input, so that a training run decodes no more than it can look at."""
QUALITY: Final = 95
HELD_BACK: Final = 4
"""One frame in so many of each group judges, the last ones of each camera."""
TUNE_SEED: Final = 100
"""Settings are chosen with seeds from this one on."""
TUNED_BY: Final = 4
"""One photo in so many judges while settings are chosen."""
GOALS: Final = {"sites": 0.95, "classes": 0.85}
JOINT: Final = "joint"


@dataclasses.dataclass(frozen=True)
class Step:
    """What one step brings: frames to learn from, frames that judge it, the classes that are labelled in it."""

    name: str
    train: list[Example]
    test: list[Example]
    labels: tuple[str, ...]


def shrunk(examples: Sequence[Example], height: int, width: int, folder: Path) -> list[Example]:
    """Return `examples` with images of at most ZOOM times `height` x `width`, the larger ones copied into `folder`.

    All strategies see the same copies. An image that cannot be read stays where it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, example in enumerate(examples):
        image = read_image(str(example.path))
        scale = 1.0 if image is None else ZOOM * min(height / image.shape[0], width / image.shape[1])
        if image is None or scale >= 1.0:
            found.append(example)
            continue
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        copy = folder / f"{number}-{example.path.stem}.jpg"
        cv2.imwrite(
            str(copy), cv2.resize(image, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        )
        factor = np.array([size[0] / image.shape[1], size[1] / image.shape[0]] * 2, np.float32)
        found.append(dataclasses.replace(example, path=copy, boxes=example.boxes * factor))
    return found


def by_camera(examples: Sequence[Example]) -> list[list[Example]]:
    """Return the examples of each camera, in their order."""
    cameras: dict[str, list[Example]] = {}
    for example in examples:
        cameras.setdefault(example.camera, []).append(example)
    return list(cameras.values())


def groups(examples: Sequence[Example], count: int) -> list[list[Example]]:
    """Return `examples` in `count` groups of whole cameras, as even as they can be, the largest cameras first."""
    found: list[list[Example]] = [[] for _ in range(count)]
    for own in sorted(by_camera(examples), key=len, reverse=True):
        min(found, key=len).extend(own)
    return found


def held_back(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Return the first frames of each camera and its last ones, one in HELD_BACK."""
    first, last = [], []
    for own in by_camera(examples):
        cut = len(own) - max(1, len(own) // HELD_BACK)
        first += own[:cut]
        last += own[cut:]
    return first, last


def only(examples: Sequence[Example], labels: Sequence[str]) -> list[Example]:
    """Return those of `examples` that have a box of `labels`, with these boxes alone and complete for these alone."""
    wanted = np.array([LABELS.index(label) for label in labels])
    found = []
    for example in examples:
        keep = np.isin(example.classes, wanted)
        if not keep.any():
            continue
        complete = np.zeros(len(LABELS), bool)
        complete[wanted] = example.complete[wanted]
        boxes, classes, weights = example.boxes[keep], example.classes[keep], example.weights[keep]
        found.append(dataclasses.replace(example, boxes=boxes, classes=classes, weights=weights, complete=complete))
    return found


def taken(examples: Sequence[Example], labels: tuple[str, ...]) -> list[Example]:
    """Return `examples` with classes as indices into `labels`, all of which occur in LABELS."""
    order = [LABELS.index(label) for label in labels]
    place = {old: new for new, old in enumerate(order)}
    found = []
    for example in examples:
        keep = np.array([int(c) in place for c in example.classes], bool)
        found.append(
            dataclasses.replace(
                example, boxes=example.boxes[keep], weights=example.weights[keep], complete=example.complete[order],
                classes=np.array([place[int(c)] for c in example.classes[keep]], np.int64),
            )
        )  # fmt: skip
    return found


class Bench:
    """One setting and one seed: trains, judges, remembers."""

    def __init__(self, options: argparse.Namespace, seed: int, folder: Path, size: str, steps: int) -> None:
        self.options, self.seed, self.folder, self.steps = options, seed, folder, steps
        self.height, self.width = size_of(size)

    def config(self, labels: tuple[str, ...], steps: int, rate: float, **more: Any) -> TrainConfig:
        """Return the settings of a run."""
        model = ModelConfig(size=self.options.size, labels=labels, height=self.height, width=self.width)
        return TrainConfig(
            model=model, steps=steps, batch=self.options.batch, rate=rate, warmup=steps // 10, augment="light",
            average=0.99, seed=self.seed, workers=0, evaluate_every=0, save_every=steps, **more,
        )  # fmt: skip

    def begin(self, name: str, labels: tuple[str, ...], examples: Sequence[Example]) -> Any:
        """Return the network that all strategies start from, kept on disk for the next call."""
        config = self.config(labels, self.options.start_steps, self.options.start_rate)
        own = taken(examples, labels)
        run = Run(config, own, [], self.folder / f"{name}-{self.seed}", evened(own, np.ones(len(own))))
        return run.run().network.eval()

    def learn(self, name: str, teacher: Any, labels: tuple[str, ...], new: Sequence[Example],
              past: Sequence[Example], steps: int) -> Any:  # fmt: skip
        """Return the network after one lesson of the strategy `name`."""
        lesson = strategy(name).prepare(
            Task(teacher, labels, taken(new, labels), taken(past, labels), Memory(), self.seed)
        )
        rate = self.options.rate_of.get(name, self.options.rate)
        config = self.config(labels, steps, rate, freeze_norms=self.options.freeze_norms, train=lesson.train)
        start = fitted(teacher, labels).state_dict()
        with tempfile.TemporaryDirectory() as folder:
            shares = evened(lesson.examples, lesson.shares)
            run = Run(config, lesson.examples, [], Path(folder), shares, start, tutor=lesson.tutor)
            return run.run().network.eval()

    def judge(self, network: Any, examples: Sequence[Example]) -> tuple[float, dict[str, float]]:
        """Return AP50 (0..1) on `examples`, over all classes and by class."""
        labels = network.config.labels
        quick = measure(detect(network, taken(examples, labels), next(network.parameters()).device), labels)
        return quick.ap50, quick.per_class

    def follow(self, name: str, start: Any, steps: Sequence[Step]) -> dict[str, Any]:
        """Take `start` through `steps` by the strategy `name` and return what it knows at the end, and on the way."""
        table: list[list[float]] = []
        network, memory, seen = start, list[Example](), 0
        labels = tuple(start.config.labels)
        for number, step in enumerate(steps):
            labels = tuple(dict.fromkeys((*labels, *step.labels)))
            if step.train:
                network = self.learn(name, network, labels, step.train, memory, self.steps)
            seen += len(step.train)
            table.append([self.judge(network, steps[i].test)[0] if i <= number else 0.0 for i in range(len(steps))])
            room = Memory(frames=int(self.options.memory * seen))
            every = [*memory, *step.train]
            memory = [every[i] for i in choose(every, room, self.seed)]
        return {"network": network, "table": table}

    def joint(self, start: Any, steps: Sequence[Step], labels: tuple[str, ...], every: Sequence[Example]) -> Any:
        """Return the network that had everything at once."""
        return self.learn(JOINT, start, labels, every, [], self.steps * sum(bool(s.train) for s in steps))


def _sites(options: argparse.Namespace, seed: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of all strategies over groups of cameras."""
    bench = Bench(options, seed, folder, options.input, options.steps)
    photos = load(*split(options.photos), LABELS)
    frames = [e for part in (options.sites[:1] if options.tune else options.sites) for e in load(*split(part), LABELS)]
    frames = shrunk(frames, bench.height, bench.width, folder / "frames")
    steps = []
    for number, own in enumerate(groups(frames, options.groups)):
        train, test = held_back(own)
        steps.append(Step(f"group {number + 1}", train, test, LABELS))
    order = np.random.default_rng(seed).permutation(len(steps))
    steps = [steps[i] for i in order]
    start = bench.begin("photos", LABELS, photos)
    tests = [e for step in steps for e in step.test]
    whole = bench.joint(start, steps, LABELS, [e for step in steps for e in step.train])
    bound, parts = bench.judge(whole, tests)[0], [bench.judge(whole, step.test)[0] for step in steps]
    say(f"sites, seed {seed}: joint {bound:.3f}, start {bench.judge(start, tests)[0]:.3f}")
    found = {JOINT: {"ap50": bound, "share_of_joint": 1.0, "forgetting": 0.0, "bwt": 0.0, "intransigence": 0.0}}
    for name in options.strategies:
        done = bench.follow(name, start, steps)
        ap50, table = bench.judge(done["network"], tests)[0], done["table"]
        found[name] = {
            "ap50": ap50, "share_of_joint": ap50 / max(bound, 1e-9), "forgetting": forgetting(table),
            "bwt": backward_transfer(table), "intransigence": intransigence(table, parts),
        }  # fmt: skip
        say(f"sites, seed {seed}: {name} {ap50:.3f}, {found[name]['share_of_joint']:.2f} of joint")
    return found


def _classes(options: argparse.Namespace, seed: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of all strategies when two classes join three."""
    bench = Bench(options, seed, folder, options.photo_input, options.class_steps)
    old, new = (tuple(text.split(",")) for text in options.classes)
    labels = (*old, *new)
    photos = load(*split(options.photos), LABELS)
    if options.tune:
        photos, test = _apart(photos)
    else:
        test = load(*split(options.photos_val), LABELS)
    order = np.random.default_rng(seed).permutation(len(photos))
    first, second = ([photos[i] for i in part] for part in np.array_split(order, 2))
    before, after = only(first, old), only(second, new)
    start = bench.begin("old-" + "-".join(old), old, before)
    steps = [Step("old", [], test, old), Step("new", after, test, new)]
    wide = fitted(start, labels)
    names = {tuple(e.path.parts): e for e in (*first, *second)}
    every = [names[tuple(e.path.parts)] for e in (*before, *after)]
    bound, parts = bench.judge(bench.joint(wide, steps, labels, every), test)
    began = bench.judge(start, test)[0]
    say(f"classes, seed {seed}: joint {bound:.3f}, old classes at the start {began:.3f}")
    found = {JOINT: _by_age(bound, parts, bound, began, old, new)}
    memory = [before[i] for i in choose(before, Memory(frames=int(options.memory * len(before))), seed)]
    for name in options.strategies:
        network = bench.learn(name, start, labels, after, memory, options.class_steps)
        found[name] = _by_age(*bench.judge(network, test), bound, began, old, new)
        ap = found[name]
        say(f"classes, seed {seed}: {name} {ap['ap50']:.3f} ({ap['ap50_old']:.3f} old, {ap['ap50_new']:.3f} new)")
    return found


def _apart(photos: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Return photos to learn from and others to choose settings by, the same ones whatever the seed."""
    order = np.random.default_rng(TUNE_SEED).permutation(len(photos))
    cut = len(photos) // TUNED_BY
    return [photos[i] for i in order[cut:]], [photos[i] for i in order[:cut]]


def _by_age(
    ap50: float, parts: Mapping[str, float], bound: float, began: float, old: Sequence[str], new: Sequence[str]
) -> dict[str, Any]:
    kept = float(np.mean([parts.get(label, 0.0) for label in old]))
    won = float(np.mean([parts.get(label, 0.0) for label in new]))
    return {
        "ap50": ap50, "ap50_old": kept, "ap50_new": won, "share_of_joint": ap50 / max(bound, 1e-9),
        "forgetting": began - kept, "bwt": kept - began,
    }  # fmt: skip


def _spread(rows: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return mean and standard deviation of every figure over the seeds."""
    answer: dict[str, Any] = {}
    for name in rows[0]:
        own = {key: [row[name][key] for row in rows] for key in rows[0][name]}
        answer[name] = {key: float(np.mean(values)) for key, values in own.items()}
        answer[name] |= {f"{key}_std": float(np.std(values)) for key, values in own.items()}
        shares = own["share_of_joint"]
        answer[name] |= {"mean": float(np.mean(shares)), "std": float(np.std(shares)), "seeds": len(rows)}
    return answer


def plot(kinds: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the share of joint training that each strategy keeps into the picture at `path`."""
    figure = Figure(figsize=(7.5, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (kind, rows) in zip(np.atleast_1d(figure.subplots(1, len(kinds))), kinds.items(), strict=True):
        names = sorted((n for n in rows if n != JOINT), key=lambda name: rows[name]["share_of_joint"])
        shares, spread = [rows[n]["share_of_joint"] for n in names], [rows[n]["share_of_joint_std"] for n in names]
        axes.barh(names, shares, xerr=spread, color=["tab:blue" if n == DEFAULT else "lightgrey" for n in names])
        axes.axvline(1.0, color="black", linewidth=1)
        axes.axvline(GOALS[kind], color="black", linestyle="--", linewidth=1)
        axes.set(xlabel="AP50 over that of joint training", title=f"{kind} (joint {rows[JOINT]['ap50']:.3f})")
    figure.savefig(path, dpi=120)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures. Raises DatasetError."""
    begun = time.monotonic()
    options.rate_of = dict(_rate(text) for text in options.rates)
    answer: dict[str, Any] = {"memory": options.memory, "steps": options.steps, "goals": GOALS, "reached": {}}
    answer |= {"class_steps": options.class_steps, "rate": options.rate, "tuning": options.tune}
    kinds = {"sites": _sites, "classes": _classes}
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        for kind in options.only:
            first = TUNE_SEED if options.tune else 0
            rows = [kinds[kind](options, seed, folder) for seed in range(first, first + options.seeds)]
            answer[kind] = _spread(rows)
            reached = answer[kind].get(DEFAULT, {}).get("share_of_joint")
            answer["reached"] |= {kind: None if reached is None else reached >= GOALS[kind]}
    if options.plot:
        plot({kind: answer[kind] for kind in options.only}, options.plot)
    return answer | {"seconds": round(time.monotonic() - begun, 1)}


def _rate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


if __name__ == "__main__":
    made = parser((__doc__ or "").split("\n")[0], images=False)
    street, vehicles = DATA / "street", DATA / "vehicles"
    places = [f"{street / name}:{street / 'images'}" for name in ("train.json", "val.json")]
    made.add_argument("--sites", nargs="+", default=places, help="COCO:IMAGES; settings are chosen by the first")
    made.add_argument("--photos", default=f"{vehicles / 'train.json'}:{vehicles / 'images'}", help="COCO:IMAGES")
    made.add_argument("--photos-val", default=f"{vehicles / 'val.json'}:{vehicles / 'images'}", help="COCO:IMAGES")
    made.add_argument("--groups", type=int, default=4, help="of cameras")
    made.add_argument("--classes", nargs=2, default=["car,person,two_wheeler", "truck,bus"], help="old and new ones")
    made.add_argument("--memory", type=float, default=0.1, help="share of the frames so far that may be kept")
    made.add_argument("--size", default="tiny")
    made.add_argument("--input", default="192x320", help="HEIGHTxWIDTH")
    made.add_argument("--photo-input", default="192x192", help="HEIGHTxWIDTH of photos, class after class")
    made.add_argument("--start-steps", type=int, default=1200)
    made.add_argument("--start-rate", type=float, default=3e-3)
    made.add_argument("--steps", type=int, default=120, help="of each lesson about a group")
    made.add_argument("--class-steps", type=int, default=800, help="of the lesson about new classes")
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--rate", type=float, default=3e-3)
    made.add_argument("--freeze-norms", action="store_true", help="keep the statistics of norms")
    made.add_argument("--tune", action="store_true", help="on the part that settings are chosen by")
    made.add_argument("--plot", type=Path, help="picture of the shares")
    made.add_argument("--rates", nargs="*", default=[], help="STRATEGY=RATE where another one is better")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--only", nargs="+", choices=tuple(GOALS), default=list(GOALS))
    made.add_argument("--strategies", nargs="+", default=[n for n in strategies() if n != JOINT])
    made.add_argument("--keep", type=Path, help="folder that keeps the networks all strategies start from")
    main(run, made)
