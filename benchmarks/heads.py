"""What all six outputs cost over a detection-only export of the same network.

    python -m benchmarks.heads [--size nano] [--input 288x512] [--semantic]

`--semantic`: with the tag head of semantic transfer for the classes and nine more tags, in place of the plain one.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import torch

from benchmarks.common import main, parser
from central.learn.detect.command import size_of
from central.learn.models import ModelConfig, Network, build
from central.learn.models.config import Semantic
from edge.runtime.model import Model
from export.bench import Contender, bench, noise_frame
from export.build import Ingredients, noise_frames
from export.build import build as build_pack
from protocols.pack import Pack

LABELS = ("person", "two_wheeler", "car", "bus", "truck")
SCENES = ("rain", "snow", "fog", "day", "dusk", "night", "congestion", "roadworks", "flooding")


def pack_of(network: Network, name: str, folder: Path) -> Pack:
    """Return the pack of an untrained network: its speed does not depend on its weights."""
    config = network.config
    about = Ingredients(
        name=name, size=config.size, labels=config.labels, tags=config.tags, config=msgspec.to_builtins(config),
        height=config.height, width=config.width,
    )  # fmt: skip
    return build_pack(network, about, folder, noise_frames(1, config.height, config.width))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the median pass of both exports, one thread, interleaved."""
    height, width = size_of(arguments.input)
    config = ModelConfig(size=arguments.size, labels=LABELS, tags=LABELS, height=height, width=width)
    if arguments.semantic:
        config = msgspec.structs.replace(config, tags=(*LABELS, *SCENES), semantic=Semantic(width=64, attention=32))
    torch.manual_seed(0)
    whole = build(config).eval()
    bare = build(msgspec.structs.replace(config, tags=(), semantic=None, without=("blur", "embedding"))).eval()
    bare.load_state_dict(whole.state_dict(), strict=False)
    with tempfile.TemporaryDirectory() as scratch:
        packs = [pack_of(whole, "all", Path(scratch) / "all"), pack_of(bare, "detection", Path(scratch) / "bare")]
        contenders = [Contender(Model(p, "cpu"), p.manifest.name, 1, noise_frame()) for p in packs]
        timed = bench(contenders, arguments.runs, compare=True)
    return {"ratio": timed.bare_ratio, "rows": [msgspec.to_builtins(row) for row in timed.rows]}


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--size", default="nano")
    made.add_argument("--input", default="288x512")
    made.add_argument("--semantic", action="store_true")
    made.add_argument("--runs", type=int, default=300)
    main(run, made)
