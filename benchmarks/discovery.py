"""Discovery: where objects are, from image-level tags; what a detector makes of it, as a share of what true boxes give.

    python -m benchmarks.discovery --cache FOLDER --parts parts.json [--only tags full ...] [--seeds 3] --json
    python -m benchmarks.discovery --cache FOLDER --parts parts.json --only full mixed15 mixed20 mixed25 mixed33 --json
    python -m benchmarks.discovery --train seq.json --images DIR --split 0.5 --fixed --ways motion --cache F2 --json

`methods.NAME` has `corloc` (training images; best box of each class that is present) and `ap50_share`: AP50 on the test
images of a detector trained on what the method found, over that with true boxes (`full`), both in points or percent,
mean, std and seeds. The trunk is learned from the tags of the training images alone, unless `--trunk` says otherwise:
one that has seen their boxes would tell where they are. It is learned once; seeds are those of heads, choices and
detectors. `--detector network` trains the production detector from scratch, `heads` judges the heads themselves on the
frozen trunk (`full`: the same heads, taught by true boxes), `none` only locates. ``tracks`` is ``tags`` with targets
made consistent along tracks, ``mixedNN`` and ``drawnNN`` spend NN percent of the time of drawing every box
(`discovery_time`): `time` has the hours at which 90 % of `full` is reached. What is done is kept in `--parts`; a
run goes on there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch

from benchmarks import discovery_time
from benchmarks.common import DATA, main, parser, say
from benchmarks.discovery_report import acceptance, summary
from central.annotate.asking import Costs
from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run
from central.learn.discover import complete, features, temporal
from central.learn.discover.active.simulate import Seen, chosen, detected
from central.learn.discover.classify import ClassifyConfig
from central.learn.discover.evaluate import Truth, best_boxes, corloc, quick
from central.learn.discover.features import Bags
from central.learn.discover.fit import Drawn, Fit, FitConfig, Judged, Lessons, certain, judge
from central.learn.discover.heed import hinted
from central.learn.discover.hints import NONE, Hints
from central.learn.discover.proposals import Kit, several
from central.learn.discover.run import DiscoverConfig, cameras, trunk_for
from central.learn.discover.targets import Targets, examples, of_drawn, targets
from central.learn.models import ModelConfig
from central.learn.tags.data import Tagged, hide
from protocols import files

LABELS: Final = "person,two_wheeler,car,bus,truck"
METHODS: Final = (
    "full", "first", "activation", "streams", "best", "several", "clusters", "tags", "boxes10", "random10", "active10",
    "entropy10", "partial30", "transfer30",
)  # fmt: skip
MORE: Final = ("tracks", *discovery_time.METHODS)
"""Those that are measured only when they are asked for."""
FULL: Final = "full"
SHARE: Final = 0.1
PARTIAL: Final = 0.3
COST: Final = Costs()


class Bench:
    """Images, tags and boxes; bags of all; results so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.names = options, tuple(options.labels.split(","))
        whole = load(options.coco, options.images, self.names)
        if options.split:
            cut = round(len(whole) * options.split)
            self.train, self.test = whole[:cut], whole[cut:]
        else:
            self.train, self.test = whole, load(options.test_coco, options.test_images, self.names)
        if options.limit_images:
            self.train, self.test = (
                part[:: max(1, len(part) // options.limit_images)] for part in (self.train, self.test)
            )
        self.labels = np.array([tags_of(e, len(self.names)) for e in self.train], np.int8)
        self.config = DiscoverConfig(
            trunk=options.trunk, start=options.start, side=options.side, ways=tuple(options.ways),
            limit=options.boxes, pack=options.pack,
            classify=ClassifyConfig(size=options.size, epochs=options.trunk_epochs),
        )  # fmt: skip
        groups = ("camera",) * len(self.train) if options.fixed else ()
        known = Tagged(self.names, tuple(e.path for e in self.train), self.labels, groups)
        folder: Path = options.cache
        self.look = trunk_for(self.config, known, folder, tell)
        self.bags = self._bags(known, folder / "train", None)
        test = Tagged(self.names, tuple(e.path for e in self.test), self.labels[:0],
                      ("camera",) * len(self.test) if options.fixed else ())  # fmt: skip
        needed = options.detector == "heads"
        self.test_bags = self._bags(test, folder / "test", self.bags.projection) if needed else None
        self.truth = [Truth(e.boxes, e.classes) for e in self.train]
        self.drawn = {place: Drawn(e.boxes, e.classes, e.weights) for place, e in enumerate(self.train)}

    def _bags(self, known: Tagged, folder: Path, projection: Any) -> Bags:
        groups, places = cameras(known)
        finder = several(self.config.ways, Kit(places, self.look, self.config.pack), self.config.limit)
        count = len(known.paths)
        report = lambda done: tell("boxes and features", done, count)  # noqa: E731
        return features.cached(self.look, finder, known.paths, groups, folder, report, projection)

    def fit(self, seed: int, lessons: Lessons, **given: Any) -> Any:
        """Return heads taught by `lessons`."""
        plain = {"epochs": self.options.epochs, "seeds": self.options.pick, **given, "seed": seed}
        return Fit(msgspec.convert(plain, FitConfig), self.bags, lessons).run()

    def judged(self, heads: Any) -> list[Judged]:
        """Return what `heads` say of the training images."""
        return [judge(heads, self.bags[place]) for place in range(len(self.bags))]

    def taught(self, seed: int, drawn: dict[int, Drawn], **given: Any) -> tuple[Any, list[Judged]]:
        """Return heads taught by all tags and the boxes `drawn`, and what they say of the training images."""
        heads = self.fit(seed, Lessons(self.labels, certain(self.labels), drawn), **given)
        return heads, self.judged(heads)

    def locate(self, judged: Sequence[Judged]) -> float:
        """Return the CorLoc 0..1 of the best boxes."""
        return corloc([best_boxes(j.boxes, j.scores) for j in judged], self.truth)


def tags_of(example: Example, count: int) -> list[int]:
    """Return 1 or -1 for each class of a labelled image: all that training sees of its boxes."""
    present = set(example.classes.tolist())
    return [1 if label in present else -1 if example.complete[label] else 0 for label in range(count)]


def tell(doing: str, done: int, every: int) -> None:
    """Report on standard error, now and then."""
    if done == every or done % 256 == 0 or "," in doing:
        say(f"{doing}: {done} of {every}")


def network_ap(bench: Bench, made: list[Example], seed: int) -> float:
    """Return the AP50 (0..1) on the test images of the production detector trained on `made` from scratch."""
    options = bench.options
    config = TrainConfig(
        model=ModelConfig(size=options.network, labels=bench.names, tags=bench.names, height=options.input,
                          width=options.input),
        steps=options.steps, batch=16, rate=2e-3, warmup=min(100, options.steps // 5), evaluate_every=0, workers=0,
        average=0.99, seed=seed, augment=options.augment,
    )  # fmt: skip
    usable = [e for e in made if len(e.boxes) or e.complete.any()]
    with tempfile.TemporaryDirectory(prefix="wayside-") as folder:
        found = Run(config, usable, bench.test, Path(folder)).run()
    assert found.quick is not None
    return found.quick.ap50


def heads_ap(bench: Bench, heads: Any) -> float:
    """Return the AP50 (0..1) of `heads` on the test images."""
    assert bench.test_bags is not None
    judged = [judge(heads, bench.test_bags[place]) for place in range(len(bench.test))]
    return quick(judged, [Truth(e.boxes, e.classes) for e in bench.test], bench.names).ap50


def pseudo(
    bench: Bench, judged: Sequence[Judged], drawn: dict[int, Drawn], hints: dict[int, Hints] | None = None,
    labels: Any = None,
) -> list[Example]:  # fmt: skip
    """Return the training images with what was discovered, or drawn, on them; `labels`: all unless given."""
    labels = bench.labels if labels is None else labels
    sure, answers = certain(labels), hints or {}
    found: list[Targets] = [
        of_drawn(drawn[p]) if p in drawn else hinted(j, labels[p], sure[p], answers.get(p, NONE), bench.options.keep)
        for p, j in enumerate(judged)
    ]
    return as_examples(bench, found, drawn, labels)


def as_examples(bench: Bench, found: Sequence[Targets], drawn: dict[int, Drawn], labels: Any) -> list[Example]:
    """Return the training images with `found` on them."""
    made = examples([e.path for e in bench.train], found, labels, drawn, bench.options.complete)
    return [replace(e, camera=t.camera) for e, t in zip(made, bench.train, strict=True)]


def one(bench: Bench, name: str, seed: int) -> dict[str, float]:
    """Return the figures of one method and seed: ``corloc`` and, where it trains a detector, ``ap50``, 0..1."""
    whole, network = bench.drawn, bench.options.detector == "network"
    if name == FULL:
        if network:
            return {"ap50": network_ap(bench, bench.train, seed)}
        heads = bench.fit(seed, Lessons(bench.labels, certain(bench.labels), whole))
        found = {"corloc": bench.locate(bench.judged(heads))}
        return found if bench.test_bags is None else {**found, "ap50": heads_ap(bench, heads)}
    if name in ("first", "activation"):
        return {"corloc": corloc(simple(bench, name), bench.truth)}
    if name == "tracks":
        return tracks(bench, seed)
    if (budget := discovery_time.named(name)) is not None:
        return timed(bench, *budget, seed)
    if name in ("partial30", "transfer30"):
        return {"corloc": partial(bench, name == "transfer30", seed)}
    drawn: dict[int, Drawn] = {}
    given: dict[str, Any] = {}
    if name.endswith("10"):
        drawn = {p: whole[p] for p in pick(bench, name, seed)}
        given = {"tags": False} if name == "boxes10" else {}
    elif name in ("best", "several", "clusters"):
        given = {"seeds": name}
    heads, judged = bench.taught(seed, drawn, **given)
    if name == "streams":
        return {"corloc": corloc([best_boxes(j.unmoved, j.raw) for j in judged], bench.truth)}
    located = {"corloc": bench.locate(judged)}
    if name in ("best", "several", "clusters"):
        return located
    if not network:
        return located if bench.test_bags is None else {**located, "ap50": heads_ap(bench, heads)}
    made = pseudo(bench, judged, drawn)
    if name == "boxes10":
        made = [e for p, e in enumerate(made) if p in drawn]
    return {**located, "ap50": network_ap(bench, made, seed)}


def tracks(bench: Bench, seed: int) -> dict[str, float]:
    """Return the figures of tags alone where targets of frames in a row are made consistent along tracks."""
    _, judged = bench.taught(seed, {})
    sure, weak = certain(bench.labels), min(temporal.WEAK, bench.options.keep)
    rows = temporal.rows_of([e.path for e in bench.train], ["camera"] * len(bench.train), always=True)
    made = temporal.consistent(
        rows, lambda p: targets(judged[p], bench.labels[p], sure[p], weak), bench.labels, sure, lambda p: None,
        bench.options.keep,
    )  # fmt: skip
    found = [made[p] for p in range(len(judged))]
    best = []
    for own in found:
        first = [np.flatnonzero(own.classes == c)[:1] for c in range(len(bench.names))]
        best.append(np.stack([own.boxes[p[0]] if len(p) else np.full(4, np.nan, np.float32) for p in first]))
    located = {"corloc": corloc(best, bench.truth)}
    if bench.options.detector != "network":
        return located
    return {**located, "ap50": network_ap(bench, as_examples(bench, found, {}, bench.labels), seed)}


def timed(bench: Bench, kind: str, share: float, seed: int) -> dict[str, float]:
    """Return the figures of a budget: `share` of the time of drawing every box, spent as `kind` says."""
    person = discovery_time.Person(bench.truth, np.random.default_rng(seed))
    budget, found = share * person.whole(), {}
    if kind == "drawn":
        person.draw([int(p) for p in person.random.permutation(len(bench.train))], budget)
        made = [e for p, e in enumerate(bench.train) if p in person.drawn]
        heads = bench.fit(seed, Lessons(bench.labels, certain(bench.labels), dict(person.drawn)), tags=False)
    else:
        labels, heads, judged = discovery_time.mixed(bench, person, budget, seed)
        found = {"corloc": bench.locate(judged)}
        plain = bench.judged(heads)
        made = pseudo(bench, plain, person.drawn, person.hints, labels)
    ap = network_ap(bench, made, seed) if bench.options.detector == "network" else None
    if bench.test_bags is not None:
        ap = heads_ap(bench, heads)
    spent = {"hours": person.spent / 3600, "full_hours": person.whole() / 3600}
    return {**found, **spent} if ap is None else {**found, **spent, "ap50": ap}


def simple(bench: Bench, name: str) -> list[Any]:
    """Return the best boxes without heads: the first that was proposed, or where the trunk's class maps are highest
    against what is around."""
    found = []
    for place in range(len(bench.bags)):
        bag, count = bench.bags[place], len(bench.names)
        if name == "first" or bag.activations.shape[2] != count:
            scores = np.repeat(bag.scores[:, None], count, 1)
        else:
            scores = (bag.activations[:, 0] - bag.activations[:, 1]).numpy()
        found.append(best_boxes(bag.boxes, scores))
    return found


def pick(bench: Bench, name: str, seed: int) -> list[int]:
    """Return the SHARE of the training images that a person draws the boxes of, chosen as `name` says."""
    count, random = max(1, round(SHARE * len(bench.train))), np.random.default_rng(seed)
    if name in ("random10", "boxes10"):
        return [int(p) for p in random.permutation(len(bench.train))[:count]]
    judged = bench.taught(seed, {})[1]
    seen: Seen = {
        p: detected(j, bench.bags[p].features.numpy(), bench.labels[p]) for p, j in enumerate(judged)
    }
    return chosen("entropy" if name == "entropy10" else "ours", seen, judged, bench.labels, count, random)


def partial(bench: Bench, transfer: bool, seed: int) -> float:
    """Return the CorLoc (of all classes that are present) with PARTIAL of the tags known, completed or not."""
    labels = hide(bench.labels, PARTIAL, seed)
    sure = certain(labels)
    if transfer:
        maps = complete.maps_of(bench.look, [e.path for e in bench.train])
        labels, sure = complete.complete(maps, labels, bench.names, "hst", seed)
    heads = bench.fit(seed, Lessons(labels, sure, {}))
    return bench.locate(bench.judged(heads))


def hours(bench: Bench) -> dict[str, float]:
    """Return the hours of a person that the training labels take at the stated costs: all boxes, tags alone, and tags
    with boxes on SHARE of the images (of average boxes). A tag costs for each class that is present, and each image a
    look."""
    images, boxes = len(bench.train), sum(len(e.boxes) for e in bench.train)
    look, tags = COST.look * images, COST.tag * int((bench.labels > 0).sum())
    drawn = COST.box * boxes
    found = {"full": look + drawn, "tags": look + tags, "tags_and_tenth": look + tags + SHARE * drawn}
    return {name: seconds / 3600 for name, seconds in found.items()}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return the answer, going on with what is in the file of parts."""
    torch.set_num_threads(1)
    begun, path = time.monotonic(), options.parts
    parts: dict[str, dict[str, float]] = json.loads(path.read_bytes()) if path and path.is_file() else {}
    wanted = [(n, s) for s in range(options.seeds) for n in options.only if f"{n}/{s}" not in parts]
    bench = Bench(options) if wanted else None
    for name, seed in wanted:
        if bench is None or time.monotonic() - begun > options.minutes * 60:
            break
        parts[f"{name}/{seed}"] = one(bench, name, seed)
        say(f"{name}, seed {seed}: {parts[f'{name}/{seed}']} ({time.monotonic() - begun:.0f} s)")
        if path:
            files.write_atomic(path, json.dumps(parts).encode())
    rows = summary(parts)
    return {
        "methods": rows, "acceptance": acceptance(rows), "time": discovery_time.curves(parts, rows),
        "hours": None if bench is None else hours(bench),
        "trunk": options.trunk, "ways": options.ways, "detector": options.detector,
        "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


def arguments() -> argparse.ArgumentParser:
    """Return the options."""
    made = parser((__doc__ or "").split("\n")[0], images=False)
    vehicles = DATA / "vehicles"
    made.add_argument("--images", type=Path, default=vehicles / "images", help="folder of the training images")
    made.add_argument("--coco", "--train", type=Path, default=vehicles / "train.json", help="their COCO file")
    made.add_argument("--test-images", type=Path, default=vehicles / "images", help="folder of the images that judge")
    made.add_argument("--test-coco", type=Path, default=vehicles / "val.json", help="their COCO file")
    made.add_argument("--split", type=float, default=0.0, help="learn from this share of --train, judge on the rest")
    made.add_argument("--labels", default=LABELS)
    made.add_argument("--limit-images", type=int, default=0, help="of training and of test, at about; 0: all")
    made.add_argument("--trunk", default="tags", help="tags, a pack, a run, safetensors or a vision transformer")
    made.add_argument("--start", default="", help="what a trunk from tags starts from: safetensors, a run, a pack")
    made.add_argument("--trunk-epochs", type=int, default=18)
    made.add_argument("--size", default="nano", help="of a trunk learned from tags")
    made.add_argument("--side", type=int, default=192, help="of the trunk's input, pixels")
    made.add_argument("--ways", nargs="+", default=["classical"], help="to find boxes")
    made.add_argument("--boxes", type=int, default=200, help="per image")
    made.add_argument("--pack", default="", help="for --ways detector")
    made.add_argument("--fixed", action="store_true", help="all images are of one fixed camera")
    made.add_argument("--epochs", type=int, default=4, help="of the heads")
    made.add_argument("--pick", default="several", help="what stands for a class")
    made.add_argument("--detector", choices=("none", "heads", "network"), default="network")
    made.add_argument("--network", default="tiny", help="size of the production detector")
    made.add_argument("--input", type=int, default=160, help="its input, pixels")
    made.add_argument("--steps", type=int, default=500)
    made.add_argument("--augment", default="light")
    made.add_argument("--keep", type=float, default=0.5, help="share of the best score that a further target needs")
    made.add_argument("--complete", action="store_true", help="take what was not found for background")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--only", nargs="+", default=list(METHODS), choices=(*METHODS, *MORE))
    made.add_argument("--rounds", type=int, default=3, help="in which mixedNN spends what tags leave")
    made.add_argument("--boxed", type=float, default=0.5, help="share of it for boxes; the rest: yes or no, clicks")
    made.add_argument("--cache", type=Path, required=True, help="folder of trunk and features")
    made.add_argument("--parts", type=Path, help="file that keeps what is done")
    made.add_argument("--minutes", type=float, default=1e9, help="begin nothing after so many")
    return made


if __name__ == "__main__":
    main(run, arguments())
