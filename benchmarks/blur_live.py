"""What a node may know of the blur of every frame, and what it costs: dense output, tile model, classical measure.

    python -m benchmarks.blur_live [--images DIR] [--coco FILE] [--pack base] [--seed 0] [--json]

Frames of cameras that nothing was learned from are each seen sharp and blurred in four severities, as
`benchmarks.blur_scenes` has it, with noise and JPEG. `measures.NAME` has `right` (share of frames before their own
blurred versions) by severity, `auc` (a sharp frame before a blurred one of any camera) by severity, `srocc` with the
severity over all, `best`/`range` (5th and 95th percentile of the blur of sharp and of blurred frames) and `ms`, the
median of a frame on one thread. That of `dense` is the whole session, which runs anyway; only the mean over the map is
its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import spearmanr  # type: ignore[import-untyped,unused-ignore]

from benchmarks.blur_checks import LIVE
from benchmarks.blur_scenes import BLURS, SEVERITIES, taken
from benchmarks.common import frames, main, opened, parser, say
from central.learn.blur.degrade import Light, Sensor, linear
from edge.assess.sharpness import WINDOW_LIVE
from edge.runtime.model import Model
from edge.runtime.prepare import Image
from edge.runtime.sharpness.detail import sharpness
from edge.runtime.sharpness.learned import TileModel

Blur = Callable[[Image], float]
"""Higher is blurrier."""


def spread(light: Light, name: str, sigma: float, random: Generator) -> Light:
    """Return `light` ``[h, w, 3]`` blurred, all colours alike."""
    state = int(random.integers(2**31))
    planes = [BLURS[name](np.ascontiguousarray(light[..., c]), sigma, np.random.default_rng(state)) for c in range(3)]
    return np.dstack(planes)


def versions(frame: Image, random: Generator) -> list[Image]:
    """Return `frame` as a camera sees it, and blurred in every severity."""
    light = linear(frame)
    camera = Sensor(noise=float(random.uniform(0, 4)), jpeg=int(random.integers(60, 96)))
    found = [taken(light, camera, 0.0, random)]
    for share, least in SEVERITIES.values():
        name = str(random.choice(list(BLURS)))
        found.append(taken(spread(light, name, max(least, share * max(frame.shape)), random), camera, 0.0, random))
    return found


def summary(blur: NDArray[np.float64], spent: list[float]) -> dict[str, Any]:
    """Return how `blur` ``[N, 1 + severities]`` orders."""
    sharp, blurred = blur[:, 0], blur[:, 1:]
    names, levels = list(SEVERITIES), np.broadcast_to(np.arange(blur.shape[1]), blur.shape)
    right = sharp[:, None] < blurred
    auc = [(sharp[:, None] < blurred[None, :, i]).mean() for i in range(len(names))]
    return {
        "right": round(float(right.mean()), 4),
        "right_by": {n: round(float(right[:, i].mean()), 4) for i, n in enumerate(names)},
        "auc_by": {n: round(float(auc[i]), 4) for i, n in enumerate(names)},
        "srocc": round(float(spearmanr(blur.ravel(), levels.ravel())[0]), 4),
        "sharp": [round(float(v), 3) for v in np.percentile(sharp, (5, 50, 95))],
        "blurred": [round(float(v), 3) for v in np.percentile(blurred, (5, 50, 95))],
        "ms": round(1000 * float(np.median(spent)), 2),
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    cv2.setNumThreads(1)
    random, began = np.random.default_rng(arguments.seed), time.perf_counter()
    with opened(arguments.pack) as (pack,), Model(pack, "cpu") as model:
        tiles = TileModel(pack, most=LIVE)

        def dense(frame: Image) -> float:
            seen = model.infer(frame).blur_map
            return float("nan") if seen is None else float(seen.mean())

        measures: dict[str, Blur] = {
            "dense": dense, "tiles": lambda frame: tiles.see(frame).blur,
            "detail": lambda frame: 1 - sharpness(frame, WINDOW_LIVE),
        }  # fmt: skip
        found: dict[str, list[list[float]]] = {name: [] for name in measures}
        spent: dict[str, list[float]] = {name: [] for name in measures}
        shown = frames(arguments.images, arguments.coco, arguments.frames)
        for frame in shown:
            for index, seen in enumerate(versions(frame, random)):
                for name, measure in measures.items():
                    start = time.perf_counter()
                    value = measure(seen)
                    spent[name].append(time.perf_counter() - start)
                    found[name] += [[]] if not index else []
                    found[name][-1].append(value)
        tiles.close()
    say(f"{len(shown)} frames in {time.perf_counter() - began:.0f} s")
    return {
        "frames": len(shown),
        "measures": {name: summary(np.array(values), spent[name]) for name, values in found.items()},
    }


if __name__ == "__main__":
    made = parser(__doc__ or "")
    made.add_argument("--pack", default="base")
    made.add_argument("--frames", type=int, default=69)
    made.add_argument("--seed", type=int, default=0)
    main(run, made)
