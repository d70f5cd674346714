"""How surely and how soon a changed camera is noticed, and how often an unchanged one is suspected.

    python -m benchmarks.drift [--source VIDEO_OR_FOLDER ...] [--seeds 5] [--weeks 20] [--plot FILE] --json

Each source is a camera. Its frames, as they are and changed (`CHANGES`, several sizes), go once through the pack, at
two levels of light. A stream of days is drawn from them: `--rate` audit frames an hour, each hour from one short
stretch of the recording (its frames are alike), dim by night and in spells of bad weather that fall as they like. A
camera is looked at every six hours, its last day against its first week, as the centre does, each camera alone, which
is the most lenient correction. `false_alarms`: share of unchanged camera-weeks with any alarm. `policy`: the same where
the node begins, after the reference week, to prefer frames with much on them; `policy_unweighted`: without the weights.
`changes`: share of changed cameras that were noticed within a day and within three, and the mean delay in hours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.camera_health import darken, defocus, move, read
from benchmarks.common import DATA, main, opened, parser, say
from central.learn.drift.look import decide, judge
from central.learn.drift.sample import DAY_S, HOUR_S, Sample
from edge.assess.uncertainty import both, doubts
from edge.runtime.model import Model
from edge.runtime.prepare import Image
from edge.sources import SourceError

SOURCES: Final = ("video/carpark.mp4", "video/corridor.mp4", "sequence/images")
LIGHT: Final = {"bright": 1.0, "dim": 0.65}
LOOKS_PER_WEEK: Final = 28.0
EVERY_H: Final = 6
REFERENCE_D: Final = 7
STRETCH: Final = 0.2
"""Of a recording, that the frames of one hour are from."""
SPELL: Final = 0.3
"""Share of the days with a spell of bad weather of a few hours."""
OTHER: Final = "other camera"


def rain(image: Image, strength: float) -> Image:
    """Return `image` in rain: streaks, haze and a little blur."""
    draws = np.random.default_rng(0)
    height, width = image.shape[:2]
    drops = np.zeros((height, width), np.float32)
    for _ in range(int(strength * height * width / 400)):
        x, y = int(draws.integers(width)), int(draws.integers(height))
        cv2.line(drops, (x, y), (x + 2, y + max(4, height // 25)), 1.0, 1)
    hazy = image.astype(np.float32) * (1 - 0.4 * strength) + 150 * 0.4 * strength
    soft = cv2.GaussianBlur(hazy, (0, 0), 0.3 + 0.8 * strength)
    wet = np.clip(soft + 70 * cv2.GaussianBlur(drops, (3, 3), 0)[..., None], 0, 255)
    return np.asarray(wet, np.uint8)


CHANGES: Final[dict[str, Callable[[Image], Image]]] = {
    "darker 0.9": lambda i: darken(i, 0.9), "darker 0.75": lambda i: darken(i, 0.75),
    "darker 0.5": lambda i: darken(i, 0.5), "rain 0.25": lambda i: rain(i, 0.25), "rain 0.5": lambda i: rain(i, 0.5),
    "rain 1": lambda i: rain(i, 1.0), "defocus 0.5 px": lambda i: defocus(i, 0.5),
    "defocus 1 px": lambda i: defocus(i, 1.0), "defocus 2 px": lambda i: defocus(i, 2.0),
    "moved 2 %": lambda i: move(i, 0.02), "moved 10 %": lambda i: move(i, 0.1),
}  # fmt: skip
Table = dict[str, np.ndarray[Any, np.dtype[np.float64]]]
"""By field, the frames ``[N]`` or ``[N, D]`` of one source, one change and one light, in order of time."""


def seen(model: Model, images: list[Image]) -> Table:
    """Return what the pack makes of `images`."""
    rows: list[dict[str, Any]] = []
    for image in images:
        found = model.infer(image)
        doubt = doubts(found)
        classes = np.bincount(found.detections.classes.astype(int), minlength=len(model.labels))
        blank = np.zeros(1)
        rows.append({
            "embedding": blank if found.embedding is None else found.embedding,
            "blur": np.nan if found.blur_map is None else float(found.blur_map.mean()),
            "uncertainty": both(doubt) if len(doubt) else 0.0, "classes": classes,
            "score": float(found.detections.scores.mean()) if len(found.detections) else np.nan,
            "detections": float(len(found.detections)),
        })  # fmt: skip
    return {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}


def tables(options: argparse.Namespace) -> dict[str, dict[str, dict[str, Table]]]:
    """Return what the pack sees, by source, change ("" for none) and light."""
    found: dict[str, dict[str, dict[str, Table]]] = {}
    with opened(options.pack) as (pack,), Model(pack, "cpu") as model:
        for source in options.source or [str(DATA / name) for name in SOURCES]:
            try:
                frames, _ = read(source, 25.0)
            except SourceError as error:
                raise OSError(str(error)) from None
            frames = [small(f) for f in frames[:: max(1, len(frames) // options.frames)][: options.frames]]
            found[source] = {
                name: {light: seen(model, [darken(change(f), gain) for f in frames]) for light, gain in LIGHT.items()}
                for name, change in {"": lambda i: i, **(CHANGES if options.seeds else {})}.items()
            }
            say(f"{source}: {len(frames)} frames, {len(CHANGES) + 1} ways, {len(LIGHT)} lights")
    for source, others in zip(found, [*list(found)[1:], *list(found)[:1]], strict=True):
        found[source][OTHER] = found[others][""]
    return found


def small(image: Image) -> Image:
    """Return `image` at most 640 wide."""
    height, width = image.shape[:2]
    if width <= 640:
        return image
    return np.asarray(cv2.resize(image, (640, round(height * 640 / width)), interpolation=cv2.INTER_AREA), np.uint8)


class Stream:
    """One camera's days: which frame, in which light, at what time."""

    def __init__(self, source: dict[str, dict[str, Table]], seed: int, days: int, rate: int) -> None:
        self._source, self._rate = source, rate
        random = np.random.default_rng(seed)
        self._starts = random.random(days * 24)
        self._dim = np.array([not 7 <= hour % 24 < 18 for hour in range(days * 24)])
        for day in np.flatnonzero(random.random(days) < SPELL):
            begin = day * 24 + int(random.integers(6, 16))
            self._dim[begin : begin + int(random.integers(2, 7))] = True
        self._random = random

    def hour(self, hour: int, change: str, biased: bool) -> tuple[Table, np.ndarray[Any, Any]]:
        """Return the frames of one hour and their weights; `biased`: those with much on them are preferred."""
        table = self._source[change]["dim" if self._dim[hour] else "bright"]
        count = len(table["detections"])
        begin = int(self._starts[hour] * (1 - STRETCH) * count)
        own = np.arange(begin, begin + max(2, int(STRETCH * count)))
        odds = (0.2 + table["detections"][own]) if biased else np.ones(len(own))
        odds = odds / odds.sum()
        chosen = self._random.choice(len(own), self._rate, p=odds)
        return {name: values[own[chosen]] for name, values in table.items()}, 1.0 / odds[chosen]

    def sample(self, begin: int, end: int, change: Callable[[int], str], biased: Callable[[int], bool]) -> Sample:
        """Return the frames of the hours from `begin` to `end`."""
        parts = [self.hour(hour, change(hour), biased(hour)) for hour in range(begin, end)]
        times = [hour * HOUR_S + (np.arange(self._rate) + 0.5) * HOUR_S / self._rate for hour in range(begin, end)]
        values = {name: np.concatenate([p[0][name] for p in parts]) for name in parts[0][0]}
        weights = np.concatenate([p[1] for p in parts])
        return Sample(np.concatenate(times), np.minimum(weights, 10 * np.median(weights)), values)


def first_alarm(stream: Stream, change: str, hours: int, biased: bool = False, weighted: bool = True) -> int | None:
    """Return the hours after the reference week at which the camera is first said to drift, up to `hours`."""
    begin = REFERENCE_D * 24
    whole = stream.sample(
        0, begin + hours, lambda hour: change if hour >= begin else "", lambda hour: biased and hour >= begin
    )
    if not weighted:
        whole = Sample(whole.times, np.ones(len(whole)), whole.values)
    reference = whole.of(whole.times < begin * HOUR_S)
    for end in range(EVERY_H, hours + 1, EVERY_H):
        to = (begin + end) * HOUR_S
        now = whole.of((whole.times >= max(begin * HOUR_S, to - DAY_S)) & (whole.times < to))
        judged = judge(reference, now, end)
        if decide([judged], LOOKS_PER_WEEK) == ["drift"]:
            return end
    return None


def quiet(found: Any, options: argparse.Namespace, biased: bool, weighted: bool, weeks: int) -> dict[str, Any]:
    """Return the share of unchanged camera-weeks with an alarm."""
    alarms = [
        first_alarm(Stream(source, 1000 + seed, REFERENCE_D + 7, options.rate), "", 168, biased, weighted)
        for source in found.values()
        for seed in range(weeks)
    ]
    share = sum(a is not None for a in alarms) / len(alarms)
    say(f"unchanged{', other policy' if biased else ''}{'' if weighted else ', unweighted'}: {share:.3f}")
    return {"share": share, "camera_weeks": len(alarms)}


def noticed(found: Any, options: argparse.Namespace, change: str) -> dict[str, Any]:
    """Return how often and how soon `change` is noticed."""
    by_seed = []
    for seed in range(options.seeds):
        streams = [Stream(source, seed, REFERENCE_D + 3, options.rate) for source in found.values()]
        by_seed.append([first_alarm(stream, change, 72) for stream in streams])
    delays = [d for row in by_seed for d in row if d is not None]
    within = [float(np.mean([d is not None and d <= 24 for d in row])) for row in by_seed]
    row = {
        "within_day": float(np.mean(within)), "mean": float(np.mean(within)), "std": float(np.std(within)),
        "seeds": len(within), "within_3_days": len(delays) / sum(len(r) for r in by_seed),
        "delay_h": float(np.mean(delays)) if delays else None,
    }  # fmt: skip
    say(f"{change:16} within a day {row['within_day']:.2f}, within three {row['within_3_days']:.2f}")
    return row


def plot(changes: dict[str, Any], path: Path) -> None:
    """Draw how often each change is noticed."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = list(changes)[::-1]
    places = np.arange(len(names))
    axes.barh(places + 0.2, [changes[n]["within_day"] for n in names], 0.4, label="within a day")
    axes.barh(places - 0.2, [changes[n]["within_3_days"] for n in names], 0.4, label="within three days")
    axes.set_yticks(places, names)
    axes.set(xlim=(0, 1), xlabel="share of changed cameras that were noticed")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    figure.savefig(path, dpi=120)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    begun = time.monotonic()
    found = tables(options)
    changes = {name: noticed(found, options, name) for name in (*CHANGES, OTHER) if options.seeds}
    if options.plot and changes:
        plot(changes, options.plot)
    answer: dict[str, Any] = {"changes": changes}
    if options.weeks:
        answer["false_alarms"] = quiet(found, options, False, True, options.weeks)
        answer["policy"] = quiet(found, options, True, True, max(1, options.weeks // 3))
        answer["policy_unweighted"] = quiet(found, options, True, False, max(1, options.weeks // 3))
    return answer | {"rate_per_hour": options.rate, "seconds": round(time.monotonic() - begun, 1)}


if __name__ == "__main__":
    made = parser((__doc__ or "").split("\n")[0], images=False)
    made.add_argument("--source", action="append", help="a video or a folder of images; again for each")
    made.add_argument("--pack", default="base")
    made.add_argument("--frames", type=int, default=90, help="of each source")
    made.add_argument("--rate", type=int, default=6, help="audit frames an hour: a tenth of the usual quota")
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--weeks", type=int, default=20, help="unchanged weeks per source")
    made.add_argument("--plot", type=Path)
    main(run, made)
