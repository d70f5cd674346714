"""How to make one doubt of a frame from those of its detections: measured against what the model got wrong.

    python -m benchmarks.uncertainty [--images DIR --coco FILE] [--pack base] [--json]

For each way of aggregating: the rank correlation (Spearman) of the frame's uncertainty with the number of errors in the
frame (missed objects and false detections at IoU 0.5, same class), over all frames and, as cameras differ more than
frames do, as the mean within cameras of five frames or more; its interval is over resampled frames.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import main, opened, parser
from edge.assess.uncertainty import AGGREGATES, doubts
from edge.runtime import Inference
from edge.runtime.model import Model
from edge.runtime.nms import overlaps

MATCH = 0.5
LEAST_FRAMES = 5
RESAMPLES = 500

Numbers = NDArray[np.float64]


def errors(found: Inference, labels: tuple[str, ...], boxes: list[list[float]], names: list[str]) -> tuple[int, int]:
    """Return how many of the true `boxes` (xyxy) of classes `names` are missed, and how many detections are false."""
    seen = found.detections
    free = set(range(len(boxes)))
    false = 0
    for index in range(len(seen)):
        same = [at for at in free if names[at] == labels[int(seen.classes[index])]]
        iou = overlaps(seen.boxes[index : index + 1], np.array([boxes[a] for a in same], np.float32).reshape(-1, 4))[0]
        if len(iou) and iou.max() >= MATCH:
            free.remove(same[int(iou.argmax())])
        else:
            false += 1
    return len(free), false


def ranks(values: Numbers) -> Numbers:
    """Return the ranks of `values`, ties shared."""
    order = np.argsort(values, kind="stable")
    place = np.empty(len(values))
    place[order] = np.arange(len(values))
    _, group = np.unique(values, return_inverse=True)
    return np.asarray((np.bincount(group, place) / np.bincount(group))[group], np.float64)


def spearman(a: Numbers, b: Numbers) -> float:
    """Return the rank correlation, 0 where one of them is constant."""
    left, right = ranks(a), ranks(b)
    spread = left.std() * right.std()
    return float(((left - left.mean()) * (right - right.mean())).mean() / spread) if spread else 0.0


def within(scores: Numbers, wrong: Numbers, cameras: list[str]) -> float:
    """Return the mean over cameras of the rank correlation among their frames."""
    found = []
    for camera in sorted(set(cameras)):
        at = np.array([i for i, name in enumerate(cameras) if name == camera])
        if len(at) >= LEAST_FRAMES and np.ptp(wrong[at]) > 0:
            found.append(spearman(scores[at], wrong[at]))
    return float(np.mean(found)) if found else 0.0


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    truth = json.loads(Path(arguments.coco).read_text(encoding="utf-8"))
    names = {row["id"]: row["name"] for row in truth["categories"]}
    scores: dict[str, list[float]] = {name: [] for name in AGGREGATES}
    wrong, rates, cameras = [], [], []
    with opened(arguments.pack) as (pack,), Model(pack, "cpu") as model:
        for row in truth["images"]:
            image = cv2.imread(str(Path(arguments.images) / row["file_name"]), cv2.IMREAD_COLOR)
            if image is None:
                raise OSError(f"{arguments.images}: {row['file_name']} cannot be read")
            own = [a for a in truth["annotations"] if a["image_id"] == row["id"]]
            boxes = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in own)]
            inference = model.infer(np.asarray(image, np.uint8))
            missed, false = errors(inference, model.labels, boxes, [names[a["category_id"]] for a in own])
            doubt = doubts(inference)
            for name, aggregate in AGGREGATES.items():
                scores[name].append(aggregate(doubt))
            wrong.append(missed + false)
            rates.append((missed + false) / max(1, len(own) + false))
            cameras.append(str(row.get("camera", "")))
    return summary({k: np.array(v) for k, v in scores.items()}, np.array(wrong, float), np.array(rates), cameras)


def summary(scores: dict[str, Numbers], wrong: Numbers, rates: Numbers, cameras: list[str]) -> dict[str, Any]:
    """Return the figures by aggregate."""
    random = np.random.default_rng(0)
    samples = [random.integers(0, len(wrong), len(wrong)) for _ in range(RESAMPLES)]
    ways: dict[str, dict[str, Any]] = {}
    for name, values in scores.items():
        low, high = np.percentile([spearman(values[at], wrong[at]) for at in samples], [2.5, 97.5])
        ways[name] = {
            "errors": round(spearman(values, wrong), 3), "interval": [round(low, 3), round(high, 3)],
            "errors_within_cameras": round(within(values, wrong, cameras), 3),
            "error_rate": round(spearman(values, rates), 3),
        }  # fmt: skip
    best = max(ways, key=lambda name: ways[name]["errors"] + ways[name]["errors_within_cameras"])
    return {"aggregates": ways, "best": best, "frames": len(wrong), "errors": int(wrong.sum())}


if __name__ == "__main__":
    made = parser(__doc__ or "")
    made.add_argument("--pack", default="base")
    main(run, made)
