"""What learning without labels is worth: frozen features, few labels, novelty, places, speed. In slices, if need be.

    python -m benchmarks.ssl --work runs/ssl --only pretrain --pretexts io,byol --seeds 0,1,2 --limit-s 540
    python -m benchmarks.ssl --work runs/ssl --only transfer --pretexts io,placed,byol --seeds 0,1,2 --limit-s 540
    python -m benchmarks.ssl --work runs/ssl --only knn,dense,novelty,collapse,pack,throughput --json

Parts: `pretrain` (each a run folder below --work, resumed where it was), `knn` (objects of other cameras, and class
folders), `transfer` (a tenth of the boxes), `things` (objects of whatever class, found without a label), `dense`
(C-T4), `novelty`, `collapse` (C-T1), `pack` (C-T5), `throughput`. What is there already is not done again; without
--only, all of it is put together. `left` says what is missing. Judging frames (--test-coco) are never learned from.
`scratch`, `random` and `pixels` are the baselines; `io` is image and object together, `placed` goes on from it with
what moves as boxes to be found (`locate`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch

from benchmarks import ssl_checks as checks
from benchmarks.common import DATA, main, opened, parser, say
from benchmarks.ssl_data import (
    AFTER,
    CLOSE,
    LABELS,
    RECIPES,
    Parts,
    Setting,
    boxes_of,
    development,
    frames_of,
    images_of,
    material,
    setting,
    split,
    summary,
    tenth,
    trunk_of,
)  # fmt: skip
from benchmarks.ssl_speed import speed
from central.learn.data.coco import load
from central.learn.detect import coco as truths
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run as DetectRun
from central.learn.models import ModelConfig
from central.learn.ssl import Trunk, probe, sources
from central.learn.ssl.config import SslConfig
from central.learn.ssl.material import MaterialError, Stock
from central.learn.ssl.train import Run, SslError
from central.learn.start import weights_from
from edge.runtime.model import Model
from export import checkpoint

PARTS: Final = ("pretrain", "knn", "transfer", "things", "dense", "novelty", "collapse", "pack", "throughput")
VOTE: Final = "weighted"
"""How neighbours vote; what was voted on in another way is voted on again."""
BASELINES: Final = ("scratch", "random", "pixels")


class PausedError(Exception):
    """The slice is over; what was done is kept."""


class Bench:
    """All parts, on one material."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.a = arguments
        self.where: Setting = setting(arguments)
        self.parts = Parts(arguments.work / "parts.json")
        self.until = time.monotonic() + arguments.limit_s
        self.seeds = [int(s) for s in arguments.seeds.split(",")]
        self.names = [n.strip() for n in arguments.pretexts.split(",")]
        self._stock: Stock | None = None

    def check(self) -> None:
        """Raise PausedError where the slice is over."""
        if time.monotonic() > self.until:
            raise PausedError

    @property
    def stock(self) -> Stock:
        """The material, looked through when it is first needed."""
        if self._stock is None:
            self._stock = material(self.a, self.where.work)
            say(f"material: {self._stock.about()}")
        return self._stock

    def ssl_run(self, name: str, seed: int) -> Run:
        """Return the run of pretext or recipe `name`, where it is."""
        if name in AFTER:
            return self.placed(name, seed)
        weights = RECIPES.get(name, {name: 1.0})
        wanted = tuple(self.a.boxes.split(","))
        config = SslConfig(
            model=self.where.model, pretexts=weights, boxes=wanted, steps=self.a.steps, batch=self.a.batch,
            rate=self.a.rate, close=CLOSE.get(name, 0.0), seed=seed, workers=self.a.workers, probe_every=0,
            save_every=200,
        )  # fmt: skip
        found = boxes_of(self.stock, wanted, self.where.work)
        return Run(config, self.stock, found, self.where.run(name, seed))

    def placed(self, name: str, seed: int) -> Run:
        """Return the run that goes on from another one's and learns where things are, in scenes as a detector sees."""
        height, width = (int(v) for v in self.a.detect_input.split("x"))
        wanted = tuple(self.a.boxes.split(","))
        config = SslConfig(
            model=msgspec.structs.replace(self.where.model, height=height, width=width), pretexts={"locate": 1.0},
            boxes=wanted, steps=self.a.locate_steps, batch=8, rate=4e-3, seed=seed, workers=self.a.workers,
            probe_every=0, save_every=200,
        )  # fmt: skip
        begin = weights_from(str(self.where.run(AFTER[name], seed)), LABELS)
        return Run(config, self.stock, boxes_of(self.stock, wanted, self.where.work), self.where.run(name, seed), begin)

    def pretrain(self) -> None:
        """Run every pretext with every seed to its end, or until the slice is over."""
        for seed in self.seeds:
            for name in self.names:
                if self.parts.has("pretrain", name, str(seed)) or not self.ready(AFTER.get(name, "random"), seed):
                    continue
                run = self.ssl_run(name, seed)

                def report(row: dict[str, Any], run: Run = run, name: str = name) -> None:
                    if "warning" in row:
                        say(row["warning"])
                    elif row["step"] % 200 == 0:
                        say(f"{name} {row['step']}/{row['steps']} loss {row['loss']:.3f} {row['images_per_s']:.0f}/s")
                    if time.monotonic() > self.until and row.get("step", 0) < run.config.steps:
                        run.save()
                        raise PausedError

                self.parts.put(run.run(report).numbers, "pretrain", name, str(seed))

    def ready(self, name: str, seed: int) -> bool:
        """Whether the trunk called `name` is there. Raises SslError where it is one of another setting."""
        if name in BASELINES or not self.parts.has("pretrain", name, str(seed)):
            return name in BASELINES
        if name in AFTER:
            kept = msgspec.json.decode((self.where.run(name, seed) / "config.json").read_bytes(), type=SslConfig)
            size = f"{kept.model.height}x{kept.model.width}"
            if (size, kept.steps) != (self.a.detect_input, self.a.locate_steps):
                raise SslError(f"{self.where.run(name, seed)}: {kept.steps} steps at {size}; choose another --work")
        return True

    def knn(self) -> None:
        """Judge frozen features by the class of objects of other cameras, and by class folders."""
        sets = {"street": probe.from_coco(self.a.test_coco, self.a.test_images)}
        if self.a.classes is not None:
            sets["objects64"] = probe.from_folders(self.a.classes)
        for seed in self.seeds:
            for name in [*self.names, "random", "pixels"]:
                if self.parts.has("knn", VOTE, name, str(seed)) or not self.ready(name, seed):
                    continue
                row = {}
                for which, crops in sets.items():
                    if name == "pixels":
                        points = crops.images[:, 3::6, 3::6].reshape(len(crops.images), -1).astype(np.float32)
                    else:
                        points = probe.features(trunk_of(self.where, name, seed), crops.images)
                    row[which] = probe.knn(points, crops)
                    row[f"{which}_all"] = probe.knn(points, crops, balanced=False)
                    row[f"{which}_majority"] = probe.majority(points, crops)
                self.parts.put(row, "knn", VOTE, name, str(seed))
                self.check()

    @property
    def setting(self) -> str:
        """What tells one way of fine-tuning from another."""
        a = self.a
        return f"{a.share:g} {a.detect_input} {a.detect_augment} {a.detect_rate:g} {a.detect_steps}"

    def transfer(self) -> None:
        """Train the same detector on a share of the boxes, from each trunk and from scratch."""
        val = load(self.a.test_coco, self.a.test_images, LABELS)
        height, width = (int(v) for v in self.a.detect_input.split("x"))
        for seed in self.seeds:
            train = tenth(self.a.coco, self.a.images, seed, self.a.share)
            for name in [*self.names, "scratch"]:
                place = ("transfer", self.setting, name)
                if self.parts.has(*place, str(seed)) or not self.ready(name, seed):
                    continue
                begin = None if name == "scratch" else weights_from(str(self.where.run(name, seed)), LABELS)
                model = ModelConfig(size=self.a.size, labels=LABELS, height=height, width=width)
                config = TrainConfig(
                    model=model, steps=self.a.detect_steps, batch=8, rate=self.a.detect_rate,
                    augment=self.a.detect_augment, warmup=min(100, self.a.detect_steps // 5), average=0.99, seed=seed,
                    workers=0, evaluate_every=0, save_every=100_000,
                )  # fmt: skip
                keep = self.where.work / f"detect-{name}-{seed}" if name == "scratch" else None
                with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
                    run = DetectRun(config, train, val, Path(scratch), start=begin)
                    result = run.run()
                    if keep is not None:
                        keep.mkdir(exist_ok=True)
                        weights = {f"average.{k}": v for k, v in result.network.state_dict().items()}
                        checkpoint.write(keep / "last.safetensors", weights, {})
                assert result.quick is not None  # there are judging frames
                self.parts.put({"ap50": result.quick.ap50, "per_class": result.quick.per_class}, *place, str(seed))
                self.check()

    def things(self) -> None:
        """Find objects, whatever they are, with a head that no label taught."""
        for seed in self.seeds:
            for name in [n for n in self.names if n in AFTER and self.ready(n, seed)]:
                if not self.parts.has("things", name, str(seed)):
                    found = checks.things(self.where.run(name, seed), self.a.test_coco, self.a.test_images)
                    self.parts.put(found, "things", name, str(seed))
                    self.check()

    def dense(self) -> None:
        """C-T4: how often the nearest cell of another crop is the same place."""
        batches = checks.judged(sources.coco(self.a.test_coco, self.a.test_images), self.where.side, 96)
        for seed in self.seeds:
            for name in [*self.names, "random"]:
                if not self.parts.has("dense", name, str(seed)) and self.ready(name, seed):
                    trunk = trunk_of(self.where, name, seed)
                    self.parts.put(checks.found_again(trunk, batches), "dense", name, str(seed))
                    self.check()

    def novelty(self) -> None:
        """Tell frames of unseen cameras from later ones of seen cameras, by the distance to what was learned from."""
        learned, back = split(self.a.coco)
        unseen = [i.file_name for i in truths.read(self.a.test_coco).images]
        folders = (self.a.images, self.a.images, self.a.test_images)
        height, width = (int(v) for v in self.a.detect_input.split("x"))
        sizes = {"square": (self.where.side, self.where.side), "detect": (height, width)}
        pixels = {
            (size, light): [
                frames_of(*pair, *sides, (light and number) or None)
                for number, pair in enumerate(zip(folders, (learned, back, unseen), strict=True))
            ]
            for size, sides in sizes.items() for light in (False, True)
        }  # fmt: skip
        for seed in self.seeds:
            for name in [*self.names, "random", "detector"]:
                known = name in ("random", "detector") or self.ready(name, seed)
                if self.parts.has("novelty", name, str(seed)) or not known:
                    continue
                trunk, row = self._seer(name, seed), {}
                if trunk is None:
                    continue
                for light in (False, True):
                    shown = pixels["detect" if name == "detector" else "square", light]
                    for how, fit in (("own", None), ("fitted", shown[0])):
                        points = (checks.embeddings(trunk, part, fit) for part in shown)
                        row[how + "_in_other_light" * light] = checks.novelty(*points)
                self.parts.put(row, "novelty", name, str(seed))
                self.check()
        if self.a.pack and not self.parts.has("novelty", "pack", "0"):
            row = {
                "own" + "_in_other_light" * light: self._pack_novelty(light, learned, back, unseen)
                for light in (False, True)
            }
            self.parts.put(row, "novelty", "pack", "0")

    def _seer(self, name: str, seed: int) -> Trunk | None:
        """Return the trunk that novelty is measured with; that of a detector from scratch for ``detector``."""
        if name != "detector":
            return trunk_of(self.where, name, seed)
        folder = self.where.work / f"detect-scratch-{seed}"
        if not folder.is_dir():
            return None
        trunk = Trunk(self.where.model)
        checkpoint.load_into(trunk, weights_from(str(folder), LABELS), strict=False)
        return trunk.eval()

    def _pack_novelty(self, light: bool, *files: list[str]) -> float:
        """Return the AUROC of the embedding of the pack that was named."""
        folders = (self.a.images, self.a.images, self.a.test_images)
        found = []
        with opened(self.a.pack) as packs, Model(packs[0], "cpu") as model:
            for number, (folder, names) in enumerate(zip(folders, files, strict=True)):
                images = images_of(folder, names, (light and number) or None)
                rows = [model.infer(image).embedding for image in images]
                found.append(torch.from_numpy(np.stack([row for row in rows if row is not None])))
        return checks.novelty(*found)

    def collapse(self) -> None:
        """C-T1, of every run that is there."""
        for seed in self.seeds:
            for name in self.names:
                judged = self.parts.has("collapse", name, str(seed)) or name in AFTER
                if not judged and self.ready(name, seed):
                    self.parts.put(checks.collapse(self.ssl_run(name, seed)), "collapse", name, str(seed))
                    self.check()

    def pack(self) -> None:
        """C-T5, of every run that is there."""
        shown = frames_of(self.a.test_images, [i.file_name for i in truths.read(self.a.test_coco).images][:16],
                          self.where.side, self.where.side)  # fmt: skip
        for seed in self.seeds:
            for name in self.names:
                if self.parts.has("pack", name, str(seed)) or not self.ready(name, seed):
                    continue
                with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
                    same = checks.same_bits(trunk_of(self.where, name, seed), Path(scratch), shown)
                self.parts.put(same, "pack", name, str(seed))
                self.check()

    def throughput(self) -> None:
        """The trainer against a bare loop."""
        if self.parts.has("throughput"):
            return
        config = SslConfig(
            model=self.where.model, boxes=("motion",), steps=self.a.speed_steps, batch=self.a.batch,
            workers=self.a.workers, look_every=50, save_every=500, probe_every=0,
        )  # fmt: skip
        found = boxes_of(self.stock, tuple(self.a.boxes.split(",")), self.where.work)
        self.parts.put(speed(config, self.stock, found), "throughput")

    def answer(self) -> dict[str, Any]:
        """Return all figures so far."""
        rows: dict[str, Any] = {}
        known = {key.split("/")[0] for part in (("knn", VOTE), ("pretrain",)) for key in self.parts.under(*part)}
        for name in sorted(known | {"scratch"}):
            row: dict[str, Any] = {}
            for key in ("street", "objects64", "street_majority", "objects64_majority"):
                values = [v[key] for v in self.parts.under("knn", VOTE, name).values() if key in v]
                if values:
                    row[f"knn_{key}"] = summary(values)
            dense = list(self.parts.under("dense", name).values())
            row |= {"found_again": summary(dense)} if dense else {}
            things = list(self.parts.under("things", name).values())
            row |= {"things_ap50": summary([100 * v for v in things])} if things else {}
            for key, stored in (("novelty_auroc", "own"), ("novelty_auroc_in_other_light", "own_in_other_light")):
                far = [v[stored] for v in self.parts.under("novelty", name).values() if stored in v]
                row |= {key: summary(far)} if far else {}
            ap50 = self.parts.under("transfer", self.setting, name)
            row |= {"ap50_at_10": summary([100 * v["ap50"] for v in ap50.values()])} if ap50 else {}
            rows[name] = row
        more = {
            n + key.removeprefix("own"): [v[key] for v in self.parts.under("novelty", n).values() if key in v]
            for n in ("detector", "pack") for key in ("own", "own_in_other_light")
        }  # fmt: skip
        return {
            "pretexts": rows,
            "novelty_auroc": {name: summary(values) for name, values in more.items() if values},
            "collapse": self.parts.under("collapse"), "pack_same_bits": self.parts.under("pack"),
            "throughput": self.parts.rows.get("throughput"),
            "left": [f"{n}/{s}" for n in self.names for s in self.seeds if not self.ready(n, s)],
            "steps": self.a.steps, "side": self.a.side, "size": self.a.size, "batch": self.a.batch,
        }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Do the parts that were asked for, then put together all that is there."""
    development(arguments)
    bench = Bench(arguments)
    chosen = [p.strip() for p in arguments.only.split(",")] if arguments.only else list(PARTS)
    unknown = [p for p in chosen if p not in (*PARTS, "report")]
    if unknown:
        raise OSError(f"--only {unknown[0]}: choose of {', '.join(PARTS)}, report")
    try:
        for part in chosen:
            if part != "report":
                getattr(bench, part)()
    except PausedError:
        say("the slice is over; the same command goes on")
    except (SslError, MaterialError, checkpoint.CheckpointError) as error:
        raise OSError(str(error)) from None
    return bench.answer()


def arguments() -> argparse.ArgumentParser:
    """Return the parser."""
    made = parser(__doc__ or "")
    made.set_defaults(coco=DATA / "street" / "train.json")
    made.add_argument("--test-images", type=Path, default=DATA / "street" / "images")
    made.add_argument("--test-coco", type=Path, default=DATA / "street" / "val.json", help="judging: other cameras")
    made.add_argument("--more", action="append", default=[], help="COCO.json:IMAGES: more frames without labels")
    made.add_argument("--sequence", type=Path, action="append", default=[], help="folder of frames in a row")
    made.add_argument("--video", type=Path, action="append", default=[])
    made.add_argument("--classes", type=Path, help="folder with train/CLASS and val/CLASS for kNN")
    made.add_argument("--work", type=Path, default=Path("runs/ssl-benchmark"), help="where runs and results are kept")
    made.add_argument("--only", default="", help=f"of {', '.join(PARTS)}, report")
    made.add_argument("--pretexts", default="io,byol")
    made.add_argument("--seeds", default="0,1,2")
    made.add_argument("--boxes", default="motion,proposals")
    made.add_argument("--size", default="tiny")
    made.add_argument("--side", type=int, default=128, help="of the views, pixels")
    made.add_argument("--steps", type=int, default=3000)
    made.add_argument(
        "--locate-steps", type=int, default=1200, help="of `placed`, after those of `io`; eight scenes each"
    )
    made.add_argument("--batch", type=int, default=24)
    made.add_argument("--rate", type=float, default=1e-3)
    made.add_argument("--workers", type=int, default=0)
    made.add_argument("--share", type=float, default=0.1, help="of the labelled frames")
    made.add_argument("--detect-input", default="192x320")
    made.add_argument("--detect-steps", type=int, default=400)
    made.add_argument("--detect-augment", default="full", help="light or full")
    made.add_argument("--detect-rate", type=float, default=2e-3)
    made.add_argument("--speed-steps", type=int, default=60)
    made.add_argument("--pack", default="", help="pack whose embedding novelty is compared with")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--limit-s", type=float, default=1e9, help="end after about so many seconds; go on later")
    return made


if __name__ == "__main__":
    given = arguments()
    torch.set_num_threads(given.parse_known_args()[0].threads)
    main(run, given)
