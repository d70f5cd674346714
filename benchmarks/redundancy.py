"""Whether the selection avoids repeating itself: distinct objects or scenes in what it keeps, against confidence alone.

    python -m benchmarks.redundancy [--seed 3 4 5] [--video carpark.mp4 ...] --json

On the synthetic street, the tracks of the truth that are visible in the kept frames are counted; on real video, the
clusters of the pack's embeddings (greedy k-centre) that they fall into. `ratio` is ours over the same number of
least confident frames of the recording (the highest uncertainty score first), over `--seeds` draws; beside it stand
uniform draws, fixed intervals and the streaming policies that look at confidence only, each at its own number of
frames, at most the quota's. A tenth of ours is the uniform audit, which repeats itself as it must; `ratio_unaudited`
is without it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import DATA, main, opened, parser, say
from benchmarks.replay import Seen, replay, watch
from edge.runtime.model import Model
from edge.sources import Frame, open_source
from edge.street.camera import Street
from protocols.messages import Policy

VISIBLE: Final = 0.3
"""Share of an object that must be seen for the frame to show it."""
CONFIDENCE: Final = ("entropy", "sedna-threshold", "sedna-ibt", "sedna-cross-entropy")
FRAMES_KEPT: Final = 30
"""What the quota gives over the recording."""
CLUSTERS: Final = 60
AUDIT: Final = Policy(version=1).audit_share
Things = Callable[[int], Iterable[int]]
"""Distinct things that the frame of an index shows."""


def street(seconds: float, fps: float, seed: int, tracks: dict[int, set[int]]) -> Iterator[Frame]:
    """Yield frames of the synthetic street; note in `tracks` which objects each of them shows."""
    made, start = Street(seed=seed), datetime.now(UTC)
    for index in range(int(seconds * fps)):
        image, truth = made.render(index / fps)
        tracks[index] = {t.track for t in truth if t.visible >= VISIBLE}
        yield Frame.now(image, "street", index, at=start + timedelta(seconds=index / fps))


def clusters(seen: list[Seen], count: int) -> NDArray[np.int64]:
    """Return the cluster ``[N]`` of each frame: `count` centres, each the frame farthest from those before it."""
    rows = np.stack([np.asarray(s.inference.embedding, np.float32) for s in seen])
    near = rows @ rows[0]
    label = np.zeros(len(rows), np.int64)
    for centre in range(1, min(count, len(rows))):
        to_new = rows @ rows[int(near.argmin())]
        label[to_new > near] = centre
        near = np.maximum(near, to_new)
    return label


def shown(kept: Iterable[int], things: Things) -> int:
    """Return how many distinct things the `kept` frames show."""
    return len({thing for index in kept for thing in things(index)})


def compare(name: str, seen: list[Seen], things: Things, seeds: int) -> dict[str, Any]:
    """Return how many distinct things each selection shows."""
    quota = FRAMES_KEPT * 3600.0 / seen[-1].now
    doubt = np.array([row.assessment.uncertainty or 0.0 for row in seen])
    least = np.argsort(-doubt, kind="stable")

    def draws(policy: str, audit: float) -> list[list[int]]:
        made = Policy(version=1, policy=policy, frames_per_hour=quota, min_gap_s=0.0, audit_share=audit)
        return [replay(seen, made, seed) for seed in range(seeds)]

    def ratios(kept: list[list[int]]) -> list[float]:
        return [shown(k, things) / max(1, shown(least[: len(k)].tolist(), things)) for k in kept]

    ours = draws("budget", AUDIT)
    own, found = [shown(kept, things) for kept in ours], ratios(ours)
    others: dict[str, Any] = {}
    for policy in ("uniform", "timelapse", "core-set", *CONFIDENCE):
        kept = draws(policy, AUDIT)
        counts = [shown(k, things) for k in kept]
        others[policy] = {"frames": float(np.mean([len(k) for k in kept])), "shown": float(np.mean(counts))}
    row = {
        "ratio": float(np.mean(found)), "std": float(np.std(found)),
        "ratio_unaudited": float(np.mean(ratios(draws("budget", 0.0)))), "ours": float(np.mean(own)),
        "least_confident": float(np.mean([shown(least[: len(k)].tolist(), things) for k in ours])),
        "frames": float(np.mean([len(k) for k in ours])), "all": shown(range(len(seen)), things), "others": others,
    }  # fmt: skip
    say(f"{name:14} " + "  ".join(f"{key} {value:.2f}" for key, value in row.items() if key != "others"))
    return row


def recordings(arguments: argparse.Namespace, model: Model) -> Iterator[tuple[str, list[Seen], Things]]:
    """Yield name, assessed frames and what each shows."""
    for seed in arguments.seed:
        tracks: dict[int, set[int]] = {}
        frames = street(arguments.seconds, arguments.street_fps, seed, tracks)
        yield f"street-{seed}", watch(frames, model, arguments.street_fps), tracks.__getitem__
    for video in arguments.video:
        if not video.exists():
            say(f"{video}: not there, left out")
            continue
        source = open_source(str(video), "camera", paced=False)
        seen = watch(source.frames(), model, arguments.fps, arguments.limit)
        by_frame = {index: {int(cluster)} for index, cluster in enumerate(clusters(seen, CLUSTERS))}
        yield video.stem, seen, by_frame.__getitem__


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Watch each recording once, select from it in every way, and count."""
    with opened(arguments.pack) as (pack,), Model(pack, "cpu") as model:
        found = recordings(arguments, model)
        rows = {name: compare(name, seen, things, arguments.seeds) for name, seen, things in found}
    return {
        "ratio_least": min(row["ratio"] for row in rows.values()),
        "ratios": {name: row["ratio"] for name, row in rows.items()},
        "pack": arguments.pack, "seeds": arguments.seeds, "recordings": rows,
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--pack", default="base")
    made.add_argument("--seconds", type=float, default=300.0, help="of each synthetic street")
    made.add_argument("--street-fps", type=float, default=5.0)
    made.add_argument("--seed", type=int, nargs="*", default=[3, 4, 5], help="of synthetic streets")
    videos = [DATA / "video" / name for name in ("carpark.mp4", "corridor.mp4")]
    made.add_argument("--video", type=Path, nargs="*", default=videos)
    made.add_argument("--fps", type=float, default=10.0, help="of the videos")
    made.add_argument("--limit", type=int, default=700, help="frames of each video")
    made.add_argument("--seeds", type=int, default=10)
    main(run, made)
