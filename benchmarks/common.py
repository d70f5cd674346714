"""What every benchmark does alike: arguments, packs, one JSON line."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from central.learn.detect import coco as truths
from central.learn.detect.coco import DatasetError
from central.learn.detect.evaluate import Report, evaluate
from central.learn.start import StartError
from edge.runtime import RuntimeFault, packs
from edge.runtime.model import Model
from edge.runtime.prepare import Image
from export.foreign import ForeignError
from export.graph import ExportError
from export.quantize import QuantiseError
from protocols.pack import Pack, PackError

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Where the development data lies beside a checkout, if it does."""
COCO_MAP = ("person=person", "bicycle=two_wheeler", "motorcycle=two_wheeler", "car=car", "bus=bus", "truck=truck")
"""The 80 classes of COCO to the five of the street profile."""


def parser(about: str, images: bool = True) -> argparse.ArgumentParser:
    """Return a parser with what most benchmarks take."""
    made = argparse.ArgumentParser(description=about)
    if images:
        made.add_argument("--images", type=Path, default=DATA / "street" / "images", help="folder of the images")
        made.add_argument("--coco", type=Path, default=DATA / "street" / "val.json", help="their truth")
    made.add_argument("--json", action="store_true", help="nothing but the JSON line on standard output")
    return made


def say(text: str) -> None:
    """Tell the person, on standard error."""
    print(text, file=sys.stderr, flush=True)


def main(run: Callable[[argparse.Namespace], dict[str, Any]], made: argparse.ArgumentParser) -> None:
    """Parse, run, print; wrong input ends with one line and status 2."""
    arguments = made.parse_args()
    try:
        answer = run(arguments)
    except (
        DatasetError, PackError, RuntimeFault, ForeignError, ExportError, QuantiseError, StartError, OSError
    ) as error:  # fmt: skip
        say(f"benchmark: {error}")
        raise SystemExit(2) from None
    if not arguments.json:
        for key, value in answer.items():
            print(f"{key:20} {value}")
    print(json.dumps(answer, default=float))


@contextmanager
def opened(*names: str) -> Iterator[list[Pack]]:
    """Open packs by name, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        yield [packs.find(name, Path(scratch)) for name in names]


def judged(pack: Pack, images: Path, coco: Path, precision: str = "fp32", resamples: int = 100) -> Report:
    """Return the evaluation of `pack` on one thread."""
    with Model(pack, "cpu", precision) as model:
        return evaluate(model, images, truths.read(coco), resamples=resamples)


def frames(images: Path, coco: Path, count: int) -> list[Image]:
    """Return up to `count` images of a truth file, spread evenly. Raises DatasetError where none can be read."""
    listed = truths.read(coco).images
    found = []
    for image in listed[:: max(1, len(listed) // count)]:
        pixels = cv2.imread(str(images / image.file_name), cv2.IMREAD_COLOR)
        if pixels is not None:
            found.append(np.asarray(pixels, np.uint8))
    if not found:
        raise DatasetError(f"{images}: none of the images of {coco} can be read")
    return found[:count]
