"""Whether the node finds what its pack misses: how often kept frames have a missed object, relative to uniform ones.

    python -m benchmarks.missed [--folder sequence] [--pack PACK] --json

Without `--pack`, the base pack is fine-tuned on `--few` frames of the first part of the recording, for a minute or two,
and that part is not judged; the pack is kept in the temporary folder for the next time. Every policy draws from the
same assessed recording under the same quota, without audit, `--seeds` times. An object is missed where no detection
overlaps it by an IoU of 0.5 (`ratios.iou50`) or 0.3 (`iou30`), or covers a tenth of it (`unseen`: no trace of it).
Fragments at the border of the picture and far away, less than `--least-side` pixels wide or high, are not counted.
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
CRITERIA: Final = ("iou50", "iou30", "unseen")
TRACE: Final = 0.1
Array = NDArray[np.float64]


def trained(folder: Path, truth: Path, few: int, steps: int) -> Path:
    """Return the pack of the base pack fine-tuned on `few` frames; made where it is not there yet. Raises OSError."""
    home = Path(tempfile.gettempdir()) / f"wayside-few-{few}-{steps}"
    pack = home / "few.wpack"
    if pack.is_file():
        return pack
    home.mkdir(exist_ok=True)
    data = json.loads(truth.read_text())
    labelled = [image for image in data["images"] if image.get("labelled", True)][:TRAINED_ON]
    chosen = labelled[:: -(-len(labelled) // few)][:few]
    ids = {image["id"] for image in chosen}
    boxes = [box for box in data["annotations"] if box["image_id"] in ids]
    (home / "few.json").write_text(json.dumps({**data, "images": chosen, "annotations": boxes}))
    say(f"training on {few} frames, {steps} steps")
    command = [
        "central.cli", "train", "detect", "--train", f"{home / 'few.json'}:{folder}", "--start", "base",
        "--input", "192x256", "--steps", str(steps), "--batch", "8", "--rate", "1e-3", "--augment", "light",
        "--out", str(home / "run"),
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


def misses(row: Seen, truth: Array) -> tuple[bool, ...]:
    """Say, for each of CRITERIA, whether any of the true boxes ``[G, 4]`` xywh is missed."""
    if not len(truth):
        return (False,) * len(CRITERIA)
    found = row.inference.detections.boxes.astype(np.float64)
    boxes = np.column_stack([found[:, :2], found[:, 2:] - found[:, :2]])
    if not len(boxes):
        return (True,) * len(CRITERIA)
    best = overlaps(boxes, truth, np.zeros(len(truth), bool)).max(axis=0)
    return bool((best < 0.5).any()), bool((best < 0.3).any()), bool((covered(boxes, truth) < TRACE).any())


def judge(seen: list[Seen], data: Coco, least: float) -> dict[int, tuple[bool, ...]]:
    """Return `misses` by index, of the labelled frames that were not trained on; objects from `least` pixels on."""
    by_image = data.by_image()
    labelled = [image for image in data.images if image.labelled]
    judged = {image.file_name: image.id for image in labelled[TRAINED_ON:]}
    found = {}
    for index, row in enumerate(seen):
        if row.frame.name in judged:
            boxes = [b for b in by_image[judged[row.frame.name]] if not b.iscrowd and min(b.bbox[2:]) >= least]
            truth = np.array([b.bbox for b in boxes], np.float64)
            found[index] = misses(row, truth.reshape(-1, 4))
    return found


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, watch, draw with every policy, and count."""
    data = truths.read(arguments.coco)
    pack = arguments.pack or str(trained(arguments.images, arguments.coco, arguments.few, arguments.steps))
    with opened(pack) as (found,), Model(found, "cpu") as model:
        source = open_source(str(arguments.images), "camera", paced=False)
        seen = watch(source.frames(), model, FPS)
    truth = judge(seen, data, arguments.least_side)
    if not truth:
        raise RuntimeFault(f"{arguments.coco}: too few labelled frames to judge by")
    base = dict(zip(CRITERIA, np.mean(list(truth.values()), axis=0), strict=True))
    policies: dict[str, Any] = {}
    for name in ("uniform", *OURS, *OTHERS):
        policy = Policy(version=1, policy=name, frames_per_hour=arguments.quota, min_gap_s=0.0, audit_share=0.0)
        drawn = [truth[i] for seed in range(arguments.seeds) for i in replay(seen, policy, seed) if i in truth]
        rates = np.mean(drawn, axis=0) if drawn else np.zeros(len(CRITERIA))
        ratios = {key: float(rate / max(1e-9, base[key])) for key, rate in zip(CRITERIA, rates, strict=True)}
        policies[name] = {"frames": len(drawn) / arguments.seeds, "ratios": ratios}
        told = "  ".join(f"{key} {value:.2f}" for key, value in ratios.items())
        say(f"{name:20} {len(drawn) / arguments.seeds:6.1f} frames  {told}")
    return {
        "ratios": policies["missed"]["ratios"], "uniform_share": base, "judged": len(truth), "policies": policies,
        "pack": Path(pack).name, "trained_on": None if arguments.pack else arguments.few, "seeds": arguments.seeds,
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--images", type=Path, default=DATA / "sequence" / "images", help="consecutive frames")
    made.add_argument("--coco", type=Path, default=DATA / "sequence" / "dev.json", help="their truth")
    made.add_argument("--pack", help="default: trained on few frames")
    made.add_argument("--few", type=int, default=16)
    made.add_argument("--steps", type=int, default=60)
    made.add_argument("--least-side", type=float, default=16.0, help="pixels of the smallest object that counts")
    made.add_argument("--quota", type=float, default=7200.0, help="frames per hour")
    made.add_argument("--seeds", type=int, default=20)
    main(run, made)
