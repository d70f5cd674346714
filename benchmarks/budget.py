"""How well the selection meets a quota of bytes over a day, under several shapes of load; no camera, a simulated clock.

    python -m benchmarks.budget [--mebibytes 20] [--policy budget] [--seeds 3] --json

`share` is what was kept of the quota in the last simulated day; `most_day` and `most_hour` the most in any 24 hours and
any hour, as a share of their quotas. Shapes: `constant`; `rush` (worth and weight of the frames rise twice a day);
`bursts` (rare minutes full of events); `night` (eight dark hours: light frames of no worth, a fifth of the rate);
`off` (a camera that is off for eight hours each night, from its second day on).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import exp, sin
from random import Random
from typing import Any, Final

from benchmarks.common import main, parser, say
from edge.select import kinds
from edge.select.history import DAY_S, HOUR_S
from protocols.messages import Assessment, Policy

SHAPES: Final = ("constant", "rush", "bursts", "night", "off")
MIB: Final = 1 << 20
DARK_HOURS: Final = (22.0, 6.0)
OTHER_HOURLY: Final = 3.0
"""The hour's quota of bytes, in shares of what the day's would give it: room for a rush, and a limit of its own."""


@dataclass(frozen=True)
class Moment:
    """One frame of a simulated camera: seconds since the start, its scores, the bytes of its JPEG."""

    now: float
    assessment: Assessment
    size: int


def dark(hour: float) -> bool:
    """Say whether it is night at `hour` of the day."""
    return hour >= DARK_HOURS[0] or hour < DARK_HOURS[1]


def camera(shape: str, days: float, fps: float, random: Random) -> Iterator[Moment]:
    """Yield the frames of a camera whose load has `shape`, at `fps`, for `days`."""
    now, event_until = 0.0, 0.0
    while now < days * DAY_S:
        now += 1.0 / fps
        hour = now % DAY_S / HOUR_S
        rush = exp(-((hour - 8) ** 2)) + exp(-((hour - 17) ** 2)) if shape == "rush" else 0.0
        if shape == "bursts" and now > event_until and random.random() < 1.0 / (1800.0 * fps):
            event_until = now + random.expovariate(1.0 / 120.0)
        busy = rush if shape != "bursts" else float(now < event_until)
        asleep = shape in ("night", "off") and dark(hour)
        if asleep and (shape == "off" or random.random() > 0.2):
            continue
        level = 0.02 if asleep else min(1.0, 0.2 + 0.6 * busy + 0.1 * sin(now / 300))
        score = min(1.0, max(0.0, random.gauss(level, 0.1)))
        weight = (12_000 if asleep else 60_000 + 60_000 * busy) * random.lognormvariate(0.0, 0.25)
        event = random.random() < 0.005 * (1 + 20 * busy)
        yield Moment(now, Assessment(uncertainty=score, inconsistency=float(event)), int(weight))


def spent(shape: str, policy: Policy, days: float, fps: float, seed: int) -> list[tuple[float, int]]:
    """Return the time and the bytes of every frame that `policy` keeps."""
    random = Random(seed)
    selector = kinds()[policy.policy].create(policy, Random(seed + 1))
    rows = []
    for moment in camera(shape, days, fps, random):
        if selector.decide(moment.assessment, moment.now).keep:
            most = selector.most_bytes()
            size = moment.size if most is None else min(moment.size, most)
            selector.settle(size)
            rows.append((moment.now, size))
    return rows


def most_within(rows: list[tuple[float, int]], seconds: float) -> int:
    """Return the most bytes of `rows` within any span shorter than `seconds`."""
    most, total, first = 0, 0, 0
    for now, size in rows:
        total += size
        while now - rows[first][0] >= seconds:
            total -= rows[first][1]
            first += 1
        most = max(most, total)
    return most


def day_of(shape: str, policy: Policy, fps: float, seed: int) -> dict[str, float]:
    """Return the shares of the quotas of `policy` that are spent under `shape`."""
    assert policy.bytes_per_day and policy.bytes_per_hour  # made here
    days = 2.0 if shape == "off" else 1.0
    rows = spent(shape, policy, days, fps, seed)
    last = sum(size for now, size in rows if now > (days - 1) * DAY_S)
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(rows)]
    return {
        "share": last / policy.bytes_per_day, "most_day": most_within(rows, DAY_S) / policy.bytes_per_day,
        "most_hour": most_within(rows, HOUR_S) / policy.bytes_per_hour, "least_gap_s": min(gaps, default=0.0),
        "frames": float(len(rows)),
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Simulate every shape with every seed; keep the worst of each figure."""
    quota = int(arguments.mebibytes * MIB)
    policy = Policy(
        version=1, policy=arguments.policy, frames_per_hour=3600.0, bytes_per_day=quota,
        bytes_per_hour=int(OTHER_HOURLY * quota / 24),
    )  # fmt: skip
    shapes: dict[str, dict[str, float]] = {}
    for shape in SHAPES:
        days = [day_of(shape, policy, arguments.fps, seed) for seed in range(arguments.seeds)]
        shapes[shape] = {
            "share_least": min(d["share"] for d in days), "share_most": max(d["share"] for d in days),
            "most_day": max(d["most_day"] for d in days), "most_hour": max(d["most_hour"] for d in days),
            "least_gap_s": min(d["least_gap_s"] for d in days), "frames": max(d["frames"] for d in days),
        }  # fmt: skip
        say(f"{shape:10} " + "  ".join(f"{key} {value:.4f}" for key, value in shapes[shape].items()))
    rows = shapes.values()
    return {
        "share_least": min(r["share_least"] for r in rows), "share_most": max(r["share_most"] for r in rows),
        "exceeded": any(r["most_day"] > 1.0 or r["most_hour"] > 1.0 for r in rows),
        "within_5_percent": all(r["share_least"] >= 0.95 and r["share_most"] <= 1.0 for r in rows),
        "policy": arguments.policy, "quota_bytes": quota, "seeds": arguments.seeds, "shapes": shapes,
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--mebibytes", type=float, default=20.0, help="quota per day")
    made.add_argument("--policy", default="budget")
    made.add_argument("--fps", type=float, default=1.0)
    made.add_argument("--seeds", type=int, default=3)
    main(run, made)
