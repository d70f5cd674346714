"""Sharp photographs before their blurred versions, blurred as nothing was that the tile model learned from.

    python -m benchmarks.blur_unseen [--scenes 180] [--seed 0] [--measures tiles,detail,crete,...] [--json]

`measures.NAME` has `right`, the share of (sharp, blurred) pairs in order, by `severity`, `blur`, `scene`, and for
retakes; `scenes_right` is the share of scenes whose sharp picture is before all of its blurred ones. `--pictures DIR`
keeps what the first measure had wrong, sharp and blurred beside each other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.blur_data import split
from benchmarks.blur_scenes import KINDS, LARGE, Scene, Shot, scene, shots
from benchmarks.common import DATA, main, parser, say
from central.learn.blur.degrade import Picture
from edge.runtime.sharpness import methods
from edge.runtime.sharpness.scorers import open_scorer

SLOW = ("lpc-si", "jnb", "cpbd")
"""Measures that take seconds for a large picture; left out by default."""
SOURCES = {"photographs": 3, "objects": 1, "video": 1}
"""Where scenes are from, and how often."""
FRAMES = 12
"""Of each video."""
Row = tuple[str, str, str, bool, bool]
"""Severity, blur, scene, whether it is a retake, whether it is in order."""


def video_frames(folder: Path) -> list[Path]:
    """Return frames of the videos in the development data, written to `folder`."""
    found = [p for i, p in enumerate(sorted((DATA / "sequence" / "images").glob("*"))) if i % 100 == 50]
    for path in sorted((DATA / "video").glob("*.mp4")):
        video = cv2.VideoCapture(str(path))
        total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        for number in range(FRAMES):
            video.set(cv2.CAP_PROP_POS_FRAMES, number * total // FRAMES)
            read, frame = video.read()
            if read:
                target = folder / f"{path.stem}-{number}.png"
                cv2.imwrite(str(target), frame)
                found.append(target)
        video.release()
    return found


def sources(images: list[Path], folder: Path) -> list[list[Path]]:
    """Return lists of photographs, each as often as scenes are to be from it."""
    photos = split(images).judge
    if images:
        return [photos]
    objects = sorted((DATA / "objects64" / "val").rglob("*.*"))
    found = {"photographs": photos, "objects": objects[::5], "video": video_frames(folder)}
    return [found[name] for name, times in SOURCES.items() for _ in range(times) if found[name]]


def kind_of(number: int, paths: list[Path]) -> str:
    """Return what kind of scene the one with `number` is: every tenth is large, objects are as they are."""
    kinds = [*KINDS, LARGE]
    return "plain" if "objects64" in str(paths[0]) else kinds[number % len(kinds)]


def keep(folder: Path, number: int, sharp: Picture, shot: Shot, seen: Scene, scores: tuple[float, float]) -> None:
    """Write `sharp` and the blurred picture beside each other, with their scores in the name."""
    both = np.hstack([sharp, shot.picture])
    name = f"{number:04}-{seen.kind}-{shot.blur}-{shot.severity}-{scores[0]:.3f}-{scores[1]:.3f}.png"
    cv2.imwrite(str(folder / name), both)


def summary(rows: list[Row], scenes: list[bool]) -> dict[str, Any]:
    """Return the shares of `rows` in order, altogether and by group."""
    groups: dict[str, dict[str, list[bool]]] = {name: defaultdict(list) for name in ("severity", "blur", "scene")}
    for row in rows:
        for place, name in enumerate(groups):
            groups[name][str(row[place])].append(row[4])
    shares = {g: {k: round(float(np.mean(v)), 4) for k, v in sorted(found.items())} for g, found in groups.items()}
    retakes = [row[4] for row in rows if row[3]]
    return {
        "right": round(float(np.mean([row[4] for row in rows])), 4), "pairs": len(rows),
        "scenes_right": round(float(np.mean(scenes)), 4), "scenes": len(scenes),
        "retakes": round(float(np.mean(retakes)), 4) if retakes else None, "by": shares,
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    cv2.setNumThreads(1)
    names = [n for n in arguments.measures.split(",") if n] or ["tiles", *(n for n in methods() if n not in SLOW)]
    rows: dict[str, list[Row]] = {name: [] for name in names}
    right: dict[str, list[bool]] = {name: [] for name in names}
    random, began = np.random.default_rng(arguments.seed), time.perf_counter()
    with ExitStack() as stack:
        scorers = {name: open_scorer(arguments.pack, name, stack).score for name in names}
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wayside-")))
        places = sources(arguments.images or [], scratch)
        for number in range(arguments.scenes):
            paths = places[number % len(places)]
            seen = scene(kind_of(number // len(places), paths), paths, random)
            sharp, blurred = shots(seen, random)
            for name, score in scorers.items():
                best = score(sharp)
                for shot in blurred:
                    value = score(shot.picture)
                    rows[name].append((shot.severity, shot.blur, seen.kind, shot.retake, best > value))
                    if best <= value and name == names[0] and arguments.pictures is not None:
                        keep(arguments.pictures, number, sharp, shot, seen, (best, value))
                right[name].append(all(row[4] for row in rows[name][-len(blurred) :]))
    say(f"{arguments.scenes} scenes in {time.perf_counter() - began:.0f} s")
    return {"measures": {name: summary(found, right[name]) for name, found in rows.items()}}


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--images", type=Path, action="append", help="folder of sharp photographs; again for each")
    made.add_argument("--pack", default="base")
    made.add_argument("--scenes", type=int, default=180)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--measures", default="", help=f"with commas; all but {', '.join(SLOW)} by default")
    made.add_argument("--pictures", type=Path, help="folder for those that the first measure has wrong")
    main(run, made)
