"""Torch against ONNX Runtime over real frames: largest differences, and how many detections are identical after NMS.

    python -m benchmarks.parity [--pack base] [--frames 50] [--images DIR --coco FILE]
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.common import frames, main, opened, parser
from central.learn.start import network_from
from edge.runtime import Detections
from edge.runtime.model import Model
from edge.runtime.nms import overlaps
from edge.runtime.parity import TOLERANCE, compare
from export.build import prepared, reference

SAME_IOU = 0.99


def identical(first: Detections, second: Detections) -> tuple[int, int]:
    """Return how many detections of two sets agree (class, box to IoU 0.99, score to 1e-3), and how many there are."""
    if not len(first) and not len(second):
        return 0, 0
    same = (overlaps(first.boxes, second.boxes) > SAME_IOU) & (first.classes[:, None] == second.classes[None])
    same &= np.abs(first.scores[:, None] - second.scores[None]) < TOLERANCE["scores"]
    return int(same.any(axis=1).sum()), max(len(first), len(second))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare raw outputs, then detections at the pack's own threshold."""
    worst: dict[str, float] = {}
    agree = total = 0
    with opened(arguments.pack) as (pack,), Model(pack, "cpu") as model:
        torch_run = reference(network_from(pack, tuple(pack.manifest.labels)))
        shown = frames(arguments.images, arguments.coco, arguments.frames)
        for image in shown:
            pixels = prepared([image], pack.manifest.input)[0]
            wanted, given = dict(torch_run(pixels)), model.backend.run(pixels)
            for name, gap in compare(wanted, given, TOLERANCE).items():
                worst[name] = max(worst.get(name, 0.0), gap)
            transform = model.prepare(image)[1]
            ours = model.interpret(given, transform).detections
            theirs = model.interpret(wanted, transform).detections
            same, count = identical(theirs, ours)
            agree, total = agree + same, total + count
    return {"frames": len(shown), "worst": worst, "detections": total, "identical_share": agree / max(total, 1)}


if __name__ == "__main__":
    made = parser(__doc__ or "")
    made.add_argument("--pack", default="base")
    made.add_argument("--frames", type=int, default=50)
    main(run, made)
