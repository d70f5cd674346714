"""Whether the node finds what its pack misses: how often kept frames have a missed object, relative to uniform ones.

    python -m benchmarks.missed [--few 16] [--packs 3] [--pack PACK] --json

Without `--pack`, the base pack is fine-tuned `--packs` times, on `--few` frames each of the first part of the
recording, for a minute or two; the packs are kept in the temporary folder for the next time. That part is not judged,
nor is the one after it, of `--tuned` labelled frames, on which the scores and the policy were tuned. Every policy draws
from the same assessed recording under the same quota, without audit, `--seeds` times.

An object is missed where no detection overlaps it by an IoU of 0.5 (`iou50`). The truth was made from masks, so
touching cars share one box there; `apart50` takes the box around all detections that lie mostly in a true box for one
more detection, so that cars which were detected one by one do not count as missed. `unseen`: detections cover less than
a tenth of it. Fragments at the border of the picture and far away, less than `--least-side` pixels wide or high, are
not counted. `ceiling` is the ratio that drawing nothing but such frames would have.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import DATA, main, opened, parser, say
from benchmarks.replay import Seen, replay, watch
from central.learn.detect import coco as truths
from central.learn.detect.coco import Coco, DatasetError
from central.learn.detect.precision import overlaps
from edge.runtime import RuntimeFault
from edge.runtime.model import Model
from edge.sources import open_source
from protocols.messages import Policy

OURS: Final = ("missed", "budget")
OTHERS: Final = ("sedna-ibt", "sedna-cross-entropy", "sedna-threshold", "entropy", "threshold", "core-set")
FPS: Final = 25.0
"""Of the recording."""
TRAINED_ON: Final = 200
"""Labelled frames, the first ones, that training may draw from and that are not judged."""
CRITERIA: Final = ("iou50", "apart50", "unseen")
FOUND, MOSTLY, TRACE = 0.5, 0.5, 0.1
"""Least IoU of what is found; share of a detection that lies in a true box; coverage below which nothing was seen."""
SHIFTS: Final = 5
"""Trainings that differ in their frames; later ones differ in their chance alone."""
Array = NDArray[np.float64]


def trained(folder: Path, truth: Path, few: int, steps: int, seed: int) -> Path:
    """Return the pack of the base pack fine-tuned on `few` frames; made where it is not there yet. Raises OSError."""
    home = Path(tempfile.gettempdir()) / f"wayside-few-{few}-{steps}-{seed}"
    pack = home / "few.wpack"
    if pack.is_file():
        return pack
    home.mkdir(exist_ok=True)
    data = json.loads(truth.read_text())
    labelled = [image for image in data["images"] if image.get("labelled", True)][:TRAINED_ON]
    gap = max(1, len(labelled) // few)
    chosen = labelled[seed % SHIFTS * gap // SHIFTS :: gap][:few]
    ids = {image["id"] for image in chosen}
    boxes = [box for box in data["annotations"] if box["image_id"] in ids]
    (home / "few.json").write_text(json.dumps({**data, "images": chosen, "annotations": boxes}))
    say(f"training on {len(chosen)} frames, {steps} steps, seed {seed}")
    command = [
        "central.cli", "train", "detect", "--train", f"{home / 'few.json'}:{folder}", "--start", "base",
        "--input", "192x256", "--steps", str(steps), "--batch", "8", "--rate", "1e-3", "--augment", "light",
        "--seed", str(seed), "--out", str(home / "run"),
    ]  # fmt: skip
    for words in (command, ["export.cli", "build", str(home / "run"), "--out", str(pack), "--name", "few"]):
        made = subprocess.run(
            [sys.executable, "-c", f"from {words[0]} import app; app()", *words[1:]], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if made.returncode:
            raise DatasetError(f"the pack could not be made: {made.stderr.strip().splitlines()[-1:]}")
    return pack


def covered(boxes: Array, truth: Array) -> Array:
    """Return the share ``[G]`` of each true box xywh that boxes ``[D, 4]`` xywh cover, at most their sum."""
    if not len(boxes):
        return np.zeros(len(truth))
    crowd = np.ones(len(boxes), bool)
    return np.asarray(overlaps(truth, boxes, crowd).sum(axis=1))  # over the first one's own area, as for a crowd


def together(boxes: Array, truth: Array) -> Array:
    """Return the IoU ``[G]`` of each true box xywh with the box around those of `boxes` ``[D, 4]`` mostly in it."""
    inside = overlaps(boxes, truth, np.ones(len(truth), bool)) >= MOSTLY  # over the detection's own area
    corners = np.column_stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    found = np.zeros(len(truth))
    for index in np.flatnonzero(inside.any(axis=0)):
        own = corners[inside[:, index]]
        low, high = own[:, :2].min(axis=0), own[:, 2:].max(axis=0)
        around = np.concatenate([low, high - low])[None]
        found[index] = overlaps(around, truth[index : index + 1], np.zeros(1, bool))[0, 0]
    return found


def misses(row: Seen, truth: Array) -> tuple[bool, ...]:
    """Say, for each of CRITERIA, whether any of the true boxes ``[G, 4]`` xywh is missed."""
    found = row.inference.detections.boxes.astype(np.float64)
    boxes = np.column_stack([found[:, :2], found[:, 2:] - found[:, :2]])
    if not len(truth) or not len(boxes):
        return (len(truth) > 0,) * len(CRITERIA)
    best = overlaps(boxes, truth, np.zeros(len(truth), bool)).max(axis=0)
    apart = np.maximum(best, together(boxes, truth))
    return bool((best < FOUND).any()), bool((apart < FOUND).any()), bool((covered(boxes, truth) < TRACE).any())


def judge(seen: list[Seen], data: Coco, least: float, first: int) -> dict[int, tuple[bool, ...]]:
    """Return `misses` by index, of the labelled frames from the one numbered `first` on; objects from `least` on."""
    by_image = data.by_image()
    labelled = [image for image in data.images if image.labelled]
    judged = {image.file_name: image.id for image in labelled[first:]}
    found = {}
    for index, row in enumerate(seen):
        if row.frame.name in judged:
            boxes = [b for b in by_image[judged[row.frame.name]] if not b.iscrowd and min(b.bbox[2:]) >= least]
            truth = np.array([b.bbox for b in boxes], np.float64)
            found[index] = misses(row, truth.reshape(-1, 4))
    return found


def shares(seen: list[Seen], truth: dict[int, tuple[bool, ...]], policy: Policy, seeds: int) -> tuple[Array, float]:
    """Return the share of kept frames with a missed object, by CRITERIA, and the number of frames, means over draws."""
    drawn = [truth[i] for seed in range(seeds) for i in replay(seen, policy, seed) if i in truth]
    return (np.mean(drawn, axis=0) if drawn else np.zeros(len(CRITERIA))), len(drawn) / seeds


def one(pack: str, data: Coco, arguments: argparse.Namespace) -> tuple[Array, dict[str, tuple[Array, float]], int]:
    """Return the share of all frames with a missed object, by CRITERIA; `shares` by policy; and the frames judged."""
    with opened(pack) as (found,), Model(found, "cpu") as model:
        source = open_source(str(arguments.images), "camera", paced=False)
        seen = watch(source.frames(), model, FPS)
    truth = judge(seen, data, arguments.least_side, TRAINED_ON + arguments.tuned)
    if not truth:
        raise RuntimeFault(f"{arguments.coco}: too few labelled frames to judge by")
    rows = {}
    for name in ("uniform", *OURS, *OTHERS):
        policy = Policy(version=1, policy=name, frames_per_hour=arguments.quota, min_gap_s=0.0, audit_share=0.0)
        rows[name] = shares(seen, truth, policy, arguments.seeds)
    return np.mean(list(truth.values()), axis=0), rows, len(truth)


def by_criterion(rows: list[Array]) -> dict[str, dict[str, float]]:
    """Return mean and deviation over packs of `rows` ``[packs, CRITERIA]``."""
    mean, deviation = np.mean(rows, axis=0), np.std(rows, axis=0)
    return {key: {"mean": float(mean[i]), "std": float(deviation[i])} for i, key in enumerate(CRITERIA)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, watch, draw with every policy, and count."""
    data = truths.read(arguments.coco)
    seeds = range(0 if arguments.pack else arguments.packs)
    made = [trained(arguments.images, arguments.coco, arguments.few, arguments.steps, seed) for seed in seeds]
    packs = [str(pack) for pack in made] or [arguments.pack]
    found = [one(pack, data, arguments) for pack in packs]
    bases = [np.maximum(base, 1e-9) for base, _, _ in found]
    policies: dict[str, Any] = {}
    for name in found[0][1]:
        ratios = by_criterion([rows[name][0] / base for base, (_, rows, _) in zip(bases, found, strict=True)])
        frames = float(np.mean([rows[name][1] for _, rows, _ in found]))
        policies[name] = {"frames": frames, "ratios": ratios}
        told = "  ".join(f"{key} {row['mean']:.2f} ({row['std']:.2f})" for key, row in ratios.items())
        say(f"{name:20} {frames:6.1f} frames  {told}")
    return {
        "ratios": {key: row["mean"] for key, row in policies["missed"]["ratios"].items()},
        "uniform_share": by_criterion(bases), "ceiling": by_criterion([1.0 / base for base in bases]),
        "judged": found[0][2], "policies": policies, "packs": [Path(pack).parent.name or pack for pack in packs],
        "trained_on": None if arguments.pack else arguments.few, "seeds": arguments.seeds,
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--images", type=Path, default=DATA / "sequence" / "images", help="consecutive frames")
    made.add_argument("--coco", type=Path, default=DATA / "sequence" / "dev.json", help="their truth")
    made.add_argument("--pack", help="default: trained on few frames")
    made.add_argument("--few", type=int, default=16)
    made.add_argument("--steps", type=int, default=60)
    made.add_argument("--packs", type=int, default=3, help="trainings, on other frames each")
    made.add_argument("--tuned", type=int, default=265, help="labelled frames left out, after those to train on")
    made.add_argument("--least-side", type=float, default=16.0, help="pixels of the smallest object that counts")
    made.add_argument("--quota", type=float, default=7200.0, help="frames per hour")
    made.add_argument("--seeds", type=int, default=5, help="draws of each policy")
    main(run, made)
