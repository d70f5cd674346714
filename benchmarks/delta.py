"""Bytes of an update as a delta, beside bsdiff and ``zstd --patch-from`` between the same two packs, and AP50 that its
rounding cost.

    python -m benchmarks.delta [--pack base] [--train-coco FILE --train-images DIR] [--images DIR --coco FILE]

Two rounds from the pack, in short: `heads` trains heads and norms, `all` trains every weight. Each network is rounded
as a round rounds it. `share_of_bsdiff` is against bsdiff between the very packs that the delta is between;
`share_of_bsdiff_unrounded` against what bsdiff needs where nobody rounded. `ap50_lost` is AP50 (0..1) of the pack
before rounding less that of the pack after it, mean over seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, Final, Literal

import bsdiff4
import msgspec
import numpy as np

from benchmarks.common import DATA, frames, judged, main, opened, parser, say
from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.data.dataset import evened
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run
from central.learn.models import Network
from central.learn.rounding import FRAMES, round_network
from central.learn.start import network_from
from export.build import Ingredients, build, noise_frames, parity_inputs, prepared, reference
from export.prototypes import choose, embeddings
from protocols import delta
from protocols.delta import patch
from protocols.delta.rounding import STEP
from protocols.pack import Pack, archive

BATCH: Final = 8
RATE: Final = 6e-4
COVERED: Final = 128
"""Frames that a pack's prototypes summarise here."""
Kind = Literal["heads", "all"]


def trained(kind: Kind, source: Pack, examples: list[Example], arguments: argparse.Namespace, seed: int) -> Network:
    """Return the network of `source` after a short round; a run that is already in its folder is not repeated."""
    start = network_from(source, tuple(source.manifest.labels))
    config = TrainConfig(
        model=start.config, steps=arguments.steps, batch=BATCH, rate=RATE, warmup=arguments.steps // 10,
        augment="light", freeze_norms=kind == "all", train="all" if kind == "all" else "heads+norms", average=0.99,
        evaluate_every=0, save_every=50, seed=seed, workers=1,
    )  # fmt: skip
    shares = evened(examples, np.ones(len(examples)))
    run = Run(config, examples, [], arguments.keep / f"{kind}-{seed}", shares, start.state_dict())
    network: Network = run.run(lambda row: say(f"{kind} {seed}: step {row['step']} of {row['steps']}")).network
    return network.eval()


def packed(network: Network, source: Pack, shown: list[Any], folder: Path) -> Pack:
    """Return the pack of `network` as a round makes it from `source`."""
    config = network.config
    about = Ingredients(
        name=f"{source.manifest.name}+{folder.name}", size=config.size, labels=config.labels, tags=config.tags,
        config=msgspec.to_builtins(config), height=config.height, width=config.width, parent=source.address,
        score_threshold=source.manifest.score_threshold, nms_iou=source.manifest.nms_iou,
    )  # fmt: skip
    inputs = parity_inputs(source) or noise_frames(3, config.height, config.width)
    return build(network, about, folder, inputs, choose(embeddings(reference(network), shown)))


def compare(before: Pack, dense: Pack, after: Pack, arguments: argparse.Namespace) -> dict[str, float]:
    """Return bytes and AP50 of one update, `dense` being the pack before it was rounded to `after`."""
    old, new = archive(before), archive(after)
    change = delta.make(before, after)
    bsdiff, unrounded = len(bsdiff4.diff(old, new)), len(bsdiff4.diff(old, archive(dense)))
    ap50 = [judged(pack, arguments.images, arguments.coco, resamples=2).ap50 or 0.0 for pack in (dense, after)]
    return {
        "bytes": len(change), "full_bytes": len(new), "bsdiff_bytes": bsdiff, "bsdiff_unrounded_bytes": unrounded,
        "zstd_patch_from_bytes": len(patch.make(old, new)), "ap50_unrounded": ap50[0], "ap50": ap50[1],
        "ap50_lost": ap50[0] - ap50[1],
    }  # fmt: skip


def summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Return the means of `rows` over seeds, the shares, and the AP50 lost by seed."""
    found: dict[str, Any] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    for key, whole in (("full", "full"), ("bsdiff", "bsdiff"), ("bsdiff_unrounded", "bsdiff_unrounded")):
        found[f"share_of_{key}"] = found["bytes"] / found[f"{whole}_bytes"]
    found["share_of_zstd_patch_from"] = found["bytes"] / found["zstd_patch_from_bytes"]
    return found | {"ap50_lost_by_seed": [row["ap50_lost"] for row in rows], "seeds": len(rows)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, round, build and compare both kinds of update."""
    answer: dict[str, Any] = {"steps": arguments.steps, "step": arguments.step}
    with opened(arguments.pack) as (source,), tempfile.TemporaryDirectory() as scratch:
        arguments.keep = arguments.keep or Path(scratch)
        examples = load(arguments.train_coco, arguments.train_images, tuple(source.manifest.labels))
        pictures = frames(arguments.train_images, arguments.train_coco, COVERED)
        shown = prepared(pictures, source.manifest.input)
        parent = network_from(source, tuple(source.manifest.labels)).state_dict()
        kinds: tuple[Kind, ...] = ("heads", "all")
        for kind in kinds:
            rows = []
            for seed in range(arguments.seeds):
                network = trained(kind, source, examples, arguments, seed)
                folder = Path(scratch) / f"{kind}-{seed}"
                dense = packed(network, source, shown, folder / "dense")
                round_network(network, parent, shown[:: max(1, len(shown) // FRAMES)], arguments.step)
                rows.append(compare(source, dense, packed(network, source, shown, folder / "rounded"), arguments))
                say(f"{kind} {seed}: {rows[-1]}")
            answer[kind] = summary(rows)
    return answer


if __name__ == "__main__":
    made = parser(__doc__ or "")
    made.add_argument("--pack", default="base")
    made.add_argument("--train-coco", type=Path, default=DATA / "street" / "train.json", help="truth that trains")
    made.add_argument("--train-images", type=Path, default=DATA / "street" / "images")
    made.add_argument("--steps", type=int, default=200, help="of each training")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--step", type=float, default=STEP, help="of the rounding, over an update's standard deviation")
    made.add_argument("--keep", type=Path, help="folder that keeps the runs, so that they need not be repeated")
    main(run, made)
