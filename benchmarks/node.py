"""The node's whole pipeline against the bare loop (decode, session, NMS) on the same video, in one run.

    python -m benchmarks.node [--video FILE] [--pack base] [--limit 300]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.common import DATA, main, opened, parser
from edge.runtime.model import Model
from edge.scoring import bench_source
from edge.sources import open_source


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    with opened(arguments.pack) as (pack,), Model(pack, "cpu") as model:
        twice = [open_source(str(arguments.video), "camera") for _ in range(2)]
        return bench_source(twice[0], twice[1], model, arguments.limit)


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--video", type=Path, default=DATA / "video" / "carpark.mp4")
    made.add_argument("--pack", default="base")
    made.add_argument("--limit", type=int, default=300)
    main(run, made)
