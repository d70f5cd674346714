"""How good boxes without labels are: those of each source against a person's, on frames of fixed cameras.

    python -m benchmarks.ssl_boxes --json
    python -m benchmarks.ssl_boxes --coco street/val.json --images street/images --sources motion --json

Of the boxes of a source the share that lies on an object (`precision`), and of the objects the share that a box lies on
(`recall`), at two overlaps. Boxes know no classes, so none counts. Frames that a source says nothing of count as empty.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common import DATA, main, parser
from central.learn.detect import coco as truths
from central.learn.ssl import boxes, sources
from central.learn.ssl.boxes import ANYTHING
from central.learn.ssl.material import MaterialError, Stock
from edge.runtime.nms import overlaps

OVERLAPS: Final = (0.5, 0.3)


def judged(stock: Stock, coco: Path, source: str) -> dict[str, float]:
    """Return precision and recall of `source` on the labelled images of `coco`, which `stock` holds."""
    data = truths.read(coco)
    own, known = data.by_image(), {image.file_name: image for image in data.images}
    found = boxes.find(source).find(stock, range(len(stock.shots)), ANYTHING, lambda _: None)
    counts, row = {"boxes": 0, "objects": 0}, dict.fromkeys(OVERLAPS, (0, 0))
    for index, shot in enumerate(stock.shots):
        image = known[shot.key]
        if not image.labelled:
            continue
        wanted = np.array([box.bbox for box in own[image.id]], np.float32).reshape(-1, 4)
        wanted[:, 2:] += wanted[:, :2]
        given = found.get(index, np.zeros((0, 4), np.float32))[: boxes.MOST]
        size = np.array([image.width, image.height] * 2, np.float32)
        counts["boxes"] += len(given)
        counts["objects"] += len(wanted)
        if len(given) and len(wanted):
            both = overlaps(given * size, wanted)
            for least, (right, seen) in row.items():
                row[least] = right + int((both.max(1) >= least).sum()), seen + int((both.max(0) >= least).sum())
    named: dict[str, float] = dict(counts)
    for least, (right, seen) in row.items():
        named[f"precision_{least:g}"] = right / max(1, counts["boxes"])
        named[f"recall_{least:g}"] = seen / max(1, counts["objects"])
    return named


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all sources."""
    try:
        stock = sources.coco(arguments.coco, arguments.images)
        return {name: judged(stock, arguments.coco, name) for name in arguments.sources.split(",")}
    except MaterialError as error:
        raise OSError(str(error)) from None


def arguments() -> argparse.ArgumentParser:
    """Return the parser."""
    made = parser(__doc__ or "")
    made.set_defaults(coco=DATA / "street" / "train.json", images=DATA / "street" / "images")
    made.add_argument("--sources", default="motion,proposals", help="of detector, motion, proposals")
    return made


if __name__ == "__main__":
    main(run, arguments())
