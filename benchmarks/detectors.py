"""AP50 against latency: packs of ours, at several input sizes, beside a foreign detector; one thread, interleaved.

    python -m benchmarks.detectors [--pack base] [--input HxW] [--foreign FILE.onnx --decoder NAME]
                                   [--images DIR --coco FILE] [--plot curve.png]

`--pack` and `--input` may be given several times: every pack is measured at its own size and exported again at the
others, which its convolutions allow without training.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.common import COCO_MAP, DATA, frames, judged, main, opened, parser, say
from central.learn import families
from central.learn.detect import plots
from central.learn.detect.command import size_of
from central.learn.start import StartError, network_from
from edge.runtime.model import Model
from export.bench import Contender, bench
from export.build import Ingredients, build, noise_frames
from export.foreign import COCO, import_onnx, read_map
from protocols.pack import Pack


def foreign(path: Path, decoder: str, folder: Path) -> Pack:
    """Return the pack of a foreign detector with the 80 classes of COCO, mapped to ours."""
    return import_onnx(path, decoder, COCO, read_map(COCO_MAP, COCO), None, folder)


def resized(pack: Pack, height: int, width: int, folder: Path) -> Pack:
    """Return the network of `pack` exported again for an input of `height` x `width`. Raises StartError."""
    manifest = pack.manifest
    start = network_from(pack, tuple(manifest.labels))
    try:
        config = msgspec.structs.replace(start.config, height=height, width=width)
    except ValueError as error:
        raise StartError(str(error)) from None
    network: Any = families.of(config).build(config)
    network.load_state_dict(start.state_dict())
    about = Ingredients(
        name=manifest.name, size=manifest.size, labels=config.labels, tags=config.tags,
        config=msgspec.to_builtins(config), height=height, width=width, nms_iou=manifest.nms_iou,
        score_threshold=manifest.score_threshold, parent=pack.address,
    )  # fmt: skip
    return build(network, about, folder, noise_frames(1, height, width))


def contenders(ours: list[Pack], sizes: list[tuple[int, int]], scratch: Path) -> list[Pack]:
    """Return every pack of `ours`, each followed by itself at those of `sizes` that are not its own."""
    found = []
    for index, pack in enumerate(ours):
        found.append(pack)
        for height, width in sizes:
            if (height, width) != (pack.manifest.input.height, pack.manifest.input.width):
                say(f"exporting {pack.manifest.name} at {height}x{width}")
                found.append(resized(pack, height, width, scratch / f"{index}-{height}x{width}"))
    return found


def quality(pack: Pack, images: Path, coco: Path) -> dict[str, Any]:
    """Return how good `pack` is on the images."""
    size = f"{pack.manifest.input.height}x{pack.manifest.input.width}"
    say(f"evaluating {pack.manifest.name} at {size}")
    report = judged(pack, images, coco)
    classes = {name: c.ap50 for name, c in report.classes.items()}
    return {
        "name": pack.manifest.name, "input": size, "ap": report.ap, "ap50": report.ap50, "classes": classes,
        "ap50_interval": report.intervals.get("ap50"),
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure quality, then speed of all together."""
    sizes = [size_of(text) for text in arguments.input]
    with opened(*arguments.pack) as ours, tempfile.TemporaryDirectory() as scratch:
        everyone = contenders(list(ours), sizes, Path(scratch))
        beside = arguments.foreign.is_file()
        if beside:
            everyone.append(foreign(arguments.foreign, arguments.decoder, Path(scratch) / "foreign"))
        rows = [quality(pack, arguments.images, arguments.coco) for pack in everyone]
        frame = frames(arguments.images, arguments.coco, 1)[0]
        timed = bench([Contender(Model(p, "cpu"), p.manifest.name, 1, frame) for p in everyone], arguments.runs)
    for row, measured in zip(rows, timed.rows, strict=True):
        row |= {"latency_ms": measured.bare_p50_ms, "whole_ms": measured.p50_ms}
    if arguments.plot is not None:
        plots.tradeoff(rows, arguments.plot)
    answer: dict[str, Any] = {"rows": rows}
    if beside:
        last = rows[-1]
        for row in rows[:-1]:
            row["latency_ratio"] = row["latency_ms"] / last["latency_ms"]
            row["ap50_ratio"] = (row["ap50"] or 0.0) / max(last["ap50"] or 0.0, 1e-9)
        answer |= {name: rows[0][name] for name in ("latency_ratio", "ap50_ratio")}
    return answer


def picture(text: str) -> Path:
    """Read the name of a picture."""
    path = Path(text)
    if path.suffix not in (".png", ".svg"):
        raise argparse.ArgumentTypeError(f"{text}: give a file that ends with .png or .svg")
    return path


def arguments_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = parser(__doc__ or "")
    made.add_argument("--pack", action="append", help="packs of ours, repeatable (default: base)")
    made.add_argument("--input", action="append", default=[], help="HxW: also at this size, repeatable")
    made.add_argument("--foreign", type=Path, default=DATA / "foreign" / "FastestDet.onnx")
    made.add_argument("--decoder", default="fastestdet")
    made.add_argument("--runs", type=int, default=200)
    made.add_argument("--plot", type=picture, help="draw the curve into this .png or .svg")
    return made


def start(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fill in the default pack, and run."""
    arguments.pack = arguments.pack or ["base"]
    return run(arguments)


if __name__ == "__main__":
    main(start, arguments_parser())
