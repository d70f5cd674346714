"""Whether the centre's estimates of field accuracy are unbiased, and their intervals honest: a simulation with truth.

    python -m benchmarks.accuracy [--days 400] --json

One camera is simulated for `--hours` at `--fps`: objects come and go in slow waves, misses cluster in time and in the
frames that score high, so that the selection draws them far more often than the rest. The node's own selection draws;
the centre estimates the share of objects that were found and that share of detections that are right, first from all
frames that were kept, then from the uniform audit alone. `coverage` is the share of simulated days whose 95 % interval
holds the truth of that day; `bias` the mean error, and `naive_bias` that of the plain mean over the kept frames.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import main, parser, say
from central.annotate.estimate import Interval, ratio
from edge.select import kinds
from protocols.messages import AUDIT_REASON, Assessment, Policy

Array = NDArray[np.float64]
BASES: Final = ("all", "audit")


@dataclass(frozen=True)
class Day:
    """All frames ``[N]`` of a camera: true objects, those found, detections, and the scores that the node gives."""

    objects: Array
    found: Array
    detections: Array
    uncertainty: Array
    motion: Array


def day(frames: int, fps: float, seed: int) -> Day:
    """Return a simulated day."""
    draws = np.random.default_rng(seed)
    time = np.arange(frames) / fps
    phase, speed = draws.uniform(0, 6.28, 2), draws.uniform(0.5, 2, 2) / 600
    busy = 2.0 + 1.5 * np.sin(time * speed[0] + phase[0])
    steps = np.repeat(draws.normal(0, 1, frames // int(4 * fps) + 1), int(4 * fps))[:frames]
    hard = 1 / (1 + np.exp(2.2 - 1.2 * np.sin(time * speed[1] + phase[1]) - 1.3 * steps))
    objects = draws.poisson(busy)
    found = draws.binomial(objects, 1 - hard)
    false = draws.poisson(0.15 + 0.5 * hard)
    missed = objects - found
    motion = np.clip(0.6 * (missed > 0) + 0.1 * missed + draws.normal(0, 0.15, frames), 0, 1)
    uncertainty = np.clip(0.2 + 0.6 * hard + draws.normal(0, 0.1, frames), 0, 1)
    to_float = np.float64
    return Day(objects.astype(to_float), found.astype(to_float), (found + false).astype(to_float), uncertainty, motion)


Kept = tuple[NDArray[np.int64], Array, NDArray[np.bool_], Array]
"""Indices of the kept frames, their probabilities, which are of the audit, and the audit's own probabilities."""


def drawn(seen: Day, policy: Policy, fps: float, seed: int) -> Kept:
    """Return what the node keeps of a day."""
    selector = kinds()[policy.policy].create(policy, Random(seed))
    kept, probabilities, audited, audits = [], [], [], []
    for index, (doubt, motion) in enumerate(zip(seen.uncertainty.tolist(), seen.motion.tolist(), strict=True)):
        made = selector.decide(Assessment(uncertainty=doubt, unexplained_motion=motion), index / fps)
        if made.keep:
            selector.settle(60_000)
            kept.append(index)
            probabilities.append(made.probability)
            audited.append(made.reason == AUDIT_REASON)
            audits.append(made.audit or 0.0)
    return np.array(kept, np.int64), np.array(probabilities), np.array(audited, bool), np.array(audits)


def trial(policy: Policy, frames: int, fps: float, seed: int) -> dict[str, tuple[Interval | None, float, float]]:
    """Return, by figure and basis, the estimate, the truth, and the plain mean over the kept frames."""
    seen = day(frames, fps, seed)
    kept, probabilities, audited, audits = drawn(seen, policy, fps, seed + 1_000_000)
    out = {}
    for figure, sizes in (("found", seen.objects), ("right", seen.detections)):
        truth = float(seen.found.sum() / sizes.sum())
        naive = float(seen.found[kept].sum() / max(1.0, sizes[kept].sum()))
        chosen = kept[audited]
        out[f"{figure}.all"] = (ratio(seen.found[kept], sizes[kept], probabilities), truth, naive)
        out[f"{figure}.audit"] = (ratio(seen.found[chosen], sizes[chosen], audits[audited]), truth, naive)
    return out


def summary(rows: list[tuple[Interval | None, float, float]]) -> dict[str, float]:
    """Return coverage, bias and width over trials."""
    known = [(interval, truth, naive) for interval, truth, naive in rows if interval is not None]
    count = max(1, len(known))
    return {
        "coverage": sum(i.low <= truth <= i.high for i, truth, _ in known) / count,
        "bias": sum(i.value - truth for i, truth, _ in known) / count,
        "naive_bias": sum(naive - truth for _, truth, naive in known) / count,
        "width": sum(i.high - i.low for i, _, _ in known) / count,
        "frames": sum(i.frames for i, _, _ in known) / count, "trials": float(len(known)),
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Simulate the days, at each of the quotas."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    frames = int(arguments.hours * 3600 * arguments.fps)
    for quota in arguments.quota:
        policy = Policy(version=1, policy=arguments.policy, frames_per_hour=quota, audit_share=arguments.audit)
        trials = [trial(policy, frames, arguments.fps, seed) for seed in range(arguments.days)]
        figures[f"{quota:g}"] = {name: summary([t[name] for t in trials]) for name in trials[0]}
        for name, found in figures[f"{quota:g}"].items():
            say(f"{quota:6g}/h {name:12} " + "  ".join(f"{key} {value:.4f}" for key, value in found.items()))
    rows = [row for by_name in figures.values() for row in by_name.values() if row["trials"] >= arguments.days / 2]
    return {
        "coverage_least": min(r["coverage"] for r in rows), "coverage_most": max(r["coverage"] for r in rows),
        "bias_most": max(abs(r["bias"]) for r in rows), "naive_bias_most": max(abs(r["naive_bias"]) for r in rows),
        "between_92_and_98": all(0.92 <= r["coverage"] <= 0.98 for r in rows),
        "policy": arguments.policy, "days": arguments.days, "quotas": figures,
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--days", type=int, default=400, help="simulated days per quota")
    made.add_argument("--hours", type=float, default=2.0)
    made.add_argument("--fps", type=float, default=2.0)
    made.add_argument("--quota", type=float, nargs="+", default=[20.0, 60.0, 300.0], help="frames per hour")
    made.add_argument("--audit", type=float, default=0.2)
    made.add_argument("--policy", default="budget")
    main(run, made)
