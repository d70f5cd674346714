"""The whole loop on the recording of one camera: AP50 and bytes sent, against sending everything.

    python -m benchmarks.stream [--coco dev.json --images DIR] [--seeds 3] [--plot stream.png] --json

The first part of the recording is what a node sees, in `--rounds` pieces. In each it assesses every frame with the pack
that it runs, its policy keeps some under a quota of bytes, the truth answers in a person's place, a round trains on
them by the default strategy from the pack that runs, and the node goes on with the new pack. The last part, which no
strategy ever learns from, judges. `budget` is the node's own policy; `timelapse` and `uniform` have the same quota,
`all` sends every frame, `none` trains nothing. Each has the same number of rounds and of training steps.

Only frames with truth can be sent: those before the first of them are what the node sees before its quota opens.
`byte_share` is the JPEG bytes as sent over those of all frames that could have been, `ap50_share` AP50 over that of
`all` with the same seed; `gain_share` the same of what training added to the pack that the node started with. The quota
is a little below the goal of 5 %: within a minute or two, chance spends more or less than a quota's pace.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

import cv2
import msgspec
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.common import DATA, main, opened, parser, say
from central.learn import families, incremental
from central.learn.data import Example
from central.learn.data.coco import examples
from central.learn.detect import coco as truths
from central.learn.detect.coco import DatasetError
from central.learn.detect.command import size_of
from central.learn.detect.config import TrainConfig
from central.learn.detect.quick import detect, measure
from central.learn.detect.train import Run
from central.learn.incremental import Task
from central.learn.start import network_from
from edge.assess.assessor import Assessor
from edge.camera import encode_within
from edge.runtime.model import Model
from edge.runtime.prepare import Image
from edge.select import Selector, kinds
from edge.select.history import HOUR_S, Spent
from edge.sources import Frame
from export.build import Ingredients, build, noise_frames, prepared, reference
from export.prototypes import choose, embeddings
from protocols.messages import Assessment, Policy
from protocols.pack import Input, Pack

ALL: Final = "all"
NONE: Final = "none"
OURS: Final = "budget"
POLICIES: Final = (OURS, "timelapse", "uniform")
ARMS: Final = (NONE, ALL, *POLICIES)
GOALS: Final = {"ap50_share": 0.95, "byte_share": 0.05}
MOST_FRAMES: Final = 3_600_000.0
"""Frames per hour: the quota of bytes alone decides."""
SETTLED: Final = 5
"""Frames that the node has sent, at its pace, before the recording."""
JUDGED_EVERY: Final = 3
"""Neighbouring frames are too much alike to judge by each."""


@dataclass(frozen=True)
class Shot:
    """One frame of the recording: its file, the seconds at which it was taken, its truth if there is one."""

    path: Path
    now: float
    truth: Example | None


@dataclass
class Sent:
    """What one strategy has sent so far, and how well the pack does that learned from it, round by round."""

    frames: list[Example] = field(default_factory=list)
    bytes: int = 0
    curve: list[tuple[int, int, float]] = field(default_factory=list)
    """After each round: frames and bytes sent so far, AP50 on the last part."""


def recording(coco: Path, images: Path, fps: float, labels: tuple[str, ...]) -> list[Shot]:
    """Return the frames of a truth file in order. Raises DatasetError."""
    data = truths.read(coco)
    known = {example.path: example for example in examples(data, images, labels)}
    paths = [images / image.file_name for image in data.images]
    return [Shot(path, index / fps, known.get(path)) for index, path in enumerate(paths)]


def parts(shots: Sequence[Shot], share: float, gap: float, rounds: int) -> tuple[list[list[Shot]], list[Example]]:
    """Return what the node sees in each round, and what judges it: the last frames with truth, some `gap` seconds on.

    `share` of the frames with truth is the node's; those without it go to the round in which they were taken. Raises
    DatasetError where a round or the judging part would have no frame.
    """
    times = [shot.now for shot in shots if shot.truth is not None]
    cut = round(share * len(times))
    if cut < rounds or cut >= len(times):
        raise DatasetError(f"{len(times)} frames with truth are too few for {rounds} rounds and a part that judges")
    ends = [times[cut * (number + 1) // rounds - 1] for number in range(rounds)]
    starts = [-1.0, *ends[:-1]]
    seen = [[s for s in shots if low < s.now <= high] for low, high in zip(starts, ends, strict=True)]
    late = [s.truth for s in shots if s.truth is not None and s.now > ends[-1] + gap]
    if not late:
        raise DatasetError("no frame with truth is left to judge by; take a smaller --share")
    return seen, late[::JUDGED_EVERY]


def pixels(path: Path) -> Image:
    """Return the image at `path`. Raises DatasetError."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DatasetError(f"{path}: cannot be read")
    return np.asarray(image, np.uint8)


def sized(network: Any, height: int, width: int) -> Any:
    """Return a copy of `network` for inputs of `height` x `width`."""
    config = msgspec.structs.replace(network.config, height=height, width=width)
    made: Any = families.of(config).build(config)
    made.load_state_dict(network.state_dict())
    return made.eval()


class Loop:
    """One seed of one strategy: a node, a person, rounds."""

    def __init__(
        self, options: argparse.Namespace, name: str, seed: int, start: Any, parent: Pack, folder: Path
    ) -> None:
        self.options, self.name, self.seed, self.folder = options, name, seed, folder
        self.network, self.parent, self.sent = start, parent, Sent()
        self.labels: tuple[str, ...] = start.config.labels

    def selector(self, sizes: Sequence[int], opens: float, closes: float) -> Selector | None:
        """Return the node's policy, which keeps its share of frames that weigh `sizes` from `opens` to `closes`.

        It goes on as a node does that was restarted: what a frame weighs is known, and the pace has settled. None where
        everything is sent.
        """
        if self.name not in POLICIES:
            return None
        rate = self.options.bytes * sum(sizes) / (closes - opens)
        policy = Policy(
            version=1, policy=self.name, frames_per_hour=MOST_FRAMES, bytes_per_hour=int(rate * HOUR_S),
            min_gap_s=self.options.gap, jpeg_quality=self.options.quality,
        )  # fmt: skip
        selector = kinds()[self.name].create(policy, Random(self.seed))
        early = sizes[:SETTLED]
        rows = [Spent(opens - sum(early[k:]) / rate, 1, size) for k, size in enumerate(early)]
        selector.quota.restore(rows, opens)
        return selector

    def select(self, shots: Sequence[Shot], selector: Selector | None, number: int) -> list[Example]:
        """Return what is sent of `shots`, as it arrives: images as encoded by the node, labels of the truth."""
        if self.name == OURS and selector is not None:
            return self._assessed(shots, selector, number)
        able = [shot for shot in shots if shot.truth is not None]
        return [
            self._arrived(s, selector) for s in able if selector is None or selector.decide(Assessment(), s.now).keep
        ]

    def _assessed(self, shots: Sequence[Shot], selector: Selector, number: int) -> list[Example]:
        """Return what the node sends that looks at each of `shots` with the pack of round `number`."""
        found = []
        with Model(self._pack(number), "cpu") as model:
            assessor = Assessor()
            for index, shot in enumerate(shots):
                image = pixels(shot.path)
                inference = model.infer(image)
                assessment = assessor.assess(Frame.now(image, "camera", index), inference, model.labels)
                if shot.truth is not None and selector.decide(assessment, shot.now, inference).keep:
                    assessor.selected(inference)
                    found.append(self._arrived(shot, selector))
        return found

    def _arrived(self, shot: Shot, selector: Selector | None) -> Example:
        assert shot.truth is not None  # only such frames are sent
        most = None if selector is None else selector.most_bytes()
        data = encode_within(pixels(shot.path), self.options.quality, most)
        if selector is not None:
            selector.settle(len(data))
        self.sent.bytes += len(data)
        path = self.folder / shot.path.with_suffix(".jpg").name
        path.write_bytes(data)
        return replace(shot.truth, path=path)

    def _pack(self, number: int) -> Pack:
        """Return the network as the node gets it."""
        config, manifest = self.network.config, self.parent.manifest
        about = Ingredients(
            name=f"stream+{number}", size=config.size, labels=config.labels, tags=config.tags,
            config=msgspec.to_builtins(config), height=config.height, width=config.width,
            score_threshold=manifest.score_threshold, nms_iou=manifest.nms_iou,
        )  # fmt: skip
        spec = Input(height=config.height, width=config.width)
        known = (prepared([pixels(e.path)], spec)[0] for e in self.sent.frames)
        points = embeddings(reference(self.network), known)
        inputs = noise_frames(1, config.height, config.width)
        return build(
            self.network, about, self.folder / f"pack-{number}", inputs, choose(points) if len(points) else None
        )

    def learn(self, new: list[Example], number: int) -> None:
        """Train a round on `new`, beside what was sent before. Without anything new, what was sent before is enough."""
        if new or self.sent.frames:
            self._train(new or self.sent.frames, self.sent.frames if new else [], number)
        self.sent.frames += new

    def _train(self, new: list[Example], past: list[Example], number: int) -> None:
        task = Task(self.network, self.labels, new, past, seed=self.seed)
        lesson = incremental.strategy(incremental.DEFAULT).prepare(task)
        model, steps = self.network.config, self.options.steps
        config = TrainConfig(
            model=model, steps=steps, batch=self.options.batch, rate=families.of(model).tuning_rate,
            warmup=steps // 10, augment="light", freeze_norms=True, average=0.99, evaluate_every=0, save_every=steps,
            seed=self.seed * 100 + number, workers=0, train=lesson.train,
        )  # fmt: skip
        state = self.network.state_dict()
        with tempfile.TemporaryDirectory() as folder:
            run = Run(config, lesson.examples, [], Path(folder), lesson.shares, state, tutor=lesson.tutor)
            self.network = run.run().network.eval()

    def follow(self, seen: Sequence[Sequence[Shot]], judges: Sequence[Example], sizes: Sequence[int]) -> Sent:
        """Go through all rounds and return what was sent and what it was worth."""
        opens = next(shot.now for shot in seen[0] if shot.truth is not None)
        selector = self.selector(sizes, opens, seen[-1][-1].now)
        for number, shots in enumerate(seen):
            if self.name != NONE:
                self.learn(self.select(shots, selector, number), number)
            known = self.sent.curve[-1][2] if self.name == NONE and number else judge(self.network, judges)
            self.sent.curve.append((len(self.sent.frames), self.sent.bytes, known))
        return self.sent


def judge(network: Any, held: Sequence[Example]) -> float:
    """Return AP50 (0..1) of `network` over the classes that occur in `held`."""
    return measure(detect(network, held, next(network.parameters()).device), network.config.labels).ap50


def weights(seen: Sequence[Sequence[Shot]], quality: int) -> list[int]:
    """Return the bytes of each frame that can be sent, in order, each encoded as the node does it."""
    return [len(encode_within(pixels(s.path), quality, None)) for own in seen for s in own if s.truth is not None]


def summary(rows: Sequence[dict[str, Sent]], total: int) -> dict[str, Any]:
    """Return the figures of every strategy over the seeds; shares are those of `all` with the same seed."""
    found: dict[str, Any] = {}
    for name in rows[0]:
        own = [row[name] for row in rows]
        last = [sent.curve[-1][2] for sent in own]
        shares = [mine / max(row[ALL].curve[-1][2], 1e-9) for mine, row in zip(last, rows, strict=True)]
        spent = [sent.bytes / total for sent in own]
        gains = [_gain(mine, row) for mine, row in zip(last, rows, strict=True)]
        found[name] = {
            "ap50_share": float(np.mean(shares)), "byte_share": float(np.mean(spent)),
            "byte_share_most": float(np.max(spent)), "mean": float(np.mean(shares)), "std": float(np.std(shares)),
            "seeds": len(rows), "gain_share": float(np.mean(gains)) if NONE in rows[0] else None,
            "ap50": float(np.mean(last)), "ap50_std": float(np.std(last)),
            "frames": float(np.mean([sent.curve[-1][0] for sent in own])),
            "curve": [
                {"byte_share": float(np.mean([sent.curve[k][1] / total for sent in own])),
                 "ap50": float(np.mean([sent.curve[k][2] for sent in own])),
                 "ap50_std": float(np.std([sent.curve[k][2] for sent in own]))}
                for k in range(len(own[0].curve))
            ],
        }  # fmt: skip
    return found


def _gain(ap50: float, row: dict[str, Sent]) -> float:
    """Return what `ap50` is above no training, over what that of `all` is; 0 where there is nothing to compare with."""
    begun = row[NONE].curve[-1][2] if NONE in row else 0.0
    return (ap50 - begun) / max(row[ALL].curve[-1][2] - begun, 1e-9)


def plot(strategies: dict[str, Any], path: Path) -> None:
    """Draw AP50 after each round against the bytes sent until then into the picture at `path`."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    begun = strategies[NONE]["ap50"] if NONE in strategies else None
    for name, row in strategies.items():
        if name == NONE:
            continue
        x = np.array([c["byte_share"] for c in row["curve"]]) * 100
        y, spread = [c["ap50"] for c in row["curve"]], [c["ap50_std"] for c in row["curve"]]
        axes.errorbar(x, y, spread, marker="o", capsize=3, label=f"{name} ({row['ap50_share']:.0%} of all)")
    if begun is not None:
        axes.axhline(begun, linestyle=":", color="grey", label="no training")
    goal = GOALS["ap50_share"] * strategies[ALL]["ap50"]
    axes.axhline(goal, linestyle="--", linewidth=1, color="black", label="goal")
    axes.set(xscale="log", xlabel="bytes sent, percent of all", ylabel="AP50", title="AP50 against bytes sent")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all strategies. Raises DatasetError."""
    begun = time.monotonic()
    height, width = size_of(options.input)
    rows: list[dict[str, Sent]] = []
    with opened(options.pack) as (pack,):
        start = sized(network_from(pack, tuple(pack.manifest.labels)), height, width)
        shots = recording(options.coco, options.images, options.fps, start.config.labels)
        seen, judges = parts(shots, options.share, options.guard, options.rounds)
        sizes = weights(seen, options.quality)
        total = sum(sizes)
        for seed in range(options.seeds):
            row = {}
            for name in dict.fromkeys((ALL, *options.strategies)):
                with tempfile.TemporaryDirectory(prefix="wayside-") as folder:
                    row[name] = Loop(options, name, seed, start, pack, Path(folder)).follow(seen, judges, sizes)
                sent = row[name]
                say(f"seed {seed} {name}: {sent.bytes / total:.1%} of the bytes, AP50 by round "
                    + " ".join(f"{ap50:.3f}" for *_, ap50 in sent.curve))  # fmt: skip
            rows.append(row)
    strategies = summary(rows, total)
    ours = strategies.get(OURS)
    if options.plot:
        plot(strategies, options.plot)
    return {
        "strategies": strategies, "goals": GOALS, "total_bytes": total, "judges": len(judges),
        "reached": ours and ours["ap50_share"] >= GOALS["ap50_share"] and ours["byte_share"] <= GOALS["byte_share"],
        "steps": options.steps, "rounds": options.rounds, "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


if __name__ == "__main__":
    made = parser((__doc__ or "").split("\n")[0], images=False)
    made.add_argument("--coco", type=Path, default=DATA / "sequence" / "dev.json", help="truth, frames in order")
    made.add_argument("--images", type=Path, default=DATA / "sequence" / "images", help="folder of the frames")
    made.add_argument("--pack", default="base", help="what the node starts with")
    made.add_argument("--input", default="192x256", help="HEIGHTxWIDTH")
    made.add_argument("--fps", type=float, default=5.0, help="frames per second that the recording stands for")
    made.add_argument("--gap", type=float, default=1.0, help="seconds between two frames that a policy keeps")
    made.add_argument("--guard", type=float, default=5.0, help="seconds between what is learned from and what judges")
    made.add_argument("--share", type=float, default=0.5, help="of the frames with truth that the node sees")
    made.add_argument("--bytes", type=float, default=0.045, help="quota, share of the bytes of these frames")
    made.add_argument("--quality", type=int, default=90, help="of the JPEGs")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--steps", type=int, default=60, help="of training in each round")
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--strategies", nargs="+", choices=ARMS, default=list(ARMS))
    made.add_argument("--plot", type=Path, help="picture of the curves")
    main(run, made)
