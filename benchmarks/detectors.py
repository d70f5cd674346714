"""AP50 against latency: packs of ours beside a foreign detector, one thread, one interleaved run.

    python -m benchmarks.detectors [--pack base] [--foreign FILE.onnx --decoder NAME] [--images DIR --coco FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import COCO_MAP, DATA, frames, judged, main, opened, parser, say
from edge.runtime.model import Model
from export.bench import Contender, bench
from export.foreign import COCO, import_onnx, read_map
from protocols.pack import Pack


def foreign(path: Path, decoder: str, folder: Path) -> Pack:
    """Return the pack of a foreign detector with the 80 classes of COCO, mapped to ours."""
    return import_onnx(path, decoder, COCO, read_map(COCO_MAP, COCO), None, folder)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure quality, then speed of all together."""
    with opened(*arguments.pack) as ours, tempfile.TemporaryDirectory() as scratch:
        everyone = list(ours)
        if arguments.foreign.is_file():
            everyone.append(foreign(arguments.foreign, arguments.decoder, Path(scratch) / "foreign"))
        rows: list[dict[str, Any]] = []
        for pack in everyone:
            say(f"evaluating {pack.manifest.name}")
            report = judged(pack, arguments.images, arguments.coco)
            classes = {name: c.ap50 for name, c in report.classes.items()}
            rows.append({"name": pack.manifest.name, "ap": report.ap, "ap50": report.ap50, "classes": classes,
                         "ap50_interval": report.intervals.get("ap50")})  # fmt: skip
        frame = frames(arguments.images, arguments.coco, 1)[0]
        contenders = [Contender(Model(p, "cpu"), p.manifest.name, 1, frame) for p in everyone]
        timed = bench(contenders, arguments.runs)
        for row, measured in zip(rows, timed.rows, strict=True):
            row |= {"latency_ms": measured.bare_p50_ms, "whole_ms": measured.p50_ms}
    base, last = rows[0], rows[-1]
    if len(rows) == 1:
        return {"rows": rows}
    return {
        "rows": rows, "latency_ratio": base["latency_ms"] / last["latency_ms"],
        "ap50_ratio": base["ap50"] / max(last["ap50"], 1e-9),
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "")
    made.add_argument("--pack", action="append", help="packs of ours, repeatable (default: base)")
    made.add_argument("--foreign", type=Path, default=DATA / "foreign" / "FastestDet.onnx")
    made.add_argument("--decoder", default="fastestdet")
    made.add_argument("--runs", type=int, default=200)
    made.set_defaults(pack=None)

    def start(arguments: argparse.Namespace) -> dict[str, Any]:
        """Fill in the default pack."""
        arguments.pack = arguments.pack or ["base"]
        return run(arguments)

    main(start, made)
