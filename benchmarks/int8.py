"""Eight bits against fp32: speed on one thread, AP50 lost. Calibrated on images that are not evaluated on.

    python -m benchmarks.int8 [--pack base] [--calibrate DIR] [--images DIR --coco FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.common import DATA, frames, judged, main, opened, parser, say
from edge.runtime.model import Model
from export.bench import Contender, bench
from export.quantize import feed, quantise


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Quantise, evaluate all variants, then time fp32 and int8 together."""
    with opened(arguments.pack) as (source,), tempfile.TemporaryDirectory() as scratch:
        shown = frames(arguments.images, arguments.calibrate, arguments.frames)
        say(f"calibrating on {len(shown)} frames")
        made, plan = quantise(source, feed(shown, source.manifest.input), Path(scratch) / "int8")
        ap50 = {}
        for precision in made.manifest.variants:
            say(f"evaluating {precision}")
            ap50[precision] = judged(made, arguments.images, arguments.coco, precision).ap50 or 0.0
        frame = shown[0]
        contenders = [Contender(Model(made, "cpu", precision), precision, 1, frame) for precision in ("fp32", "int8")]
        timed = bench(contenders, arguments.runs, compare=True)
    return {
        "speedup": timed.bare_ratio, "ap50_lost": ap50["fp32"] - ap50["int8"], "ap50": ap50,
        "kept_in_float": list(plan.kept), "rows": [msgspec.to_builtins(row) for row in timed.rows],
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "")
    made.add_argument("--pack", default="base")
    made.add_argument(
        "--calibrate", type=Path, default=DATA / "street" / "train.json", help="truth file whose images calibrate"
    )
    made.add_argument("--frames", type=int, default=64)
    made.add_argument("--runs", type=int, default=300)
    main(run, made)
