"""Runs in an environment with pycocotools: says what it reads in a file of ours, and that its evaluation takes it.

    python pycocotools_tool.py read coco FILE

It writes no files. Nothing of ours is imported here.
"""

from __future__ import annotations

import contextlib
import json
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def main() -> None:
    file = sys.argv[3]
    with contextlib.redirect_stdout(sys.stderr):
        truth = COCO(file)
        names = {c["id"]: c["name"] for c in truth.loadCats(truth.getCatIds())}
        given = [a | {"score": 1.0} for a in truth.loadAnns(truth.getAnnIds())]
        judged = COCOeval(truth, truth.loadRes(given), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
        areas = {a["id"]: round(float(truth.annToMask(a).sum()), 1) for a in given if a["segmentation"]}
    boxes = sorted([names[a["category_id"]], *[round(v, 2) for v in a["bbox"]]] for a in given)
    print(json.dumps({"boxes": boxes, "areas": areas, "ap": round(float(judged.stats[0]), 3)}))


main()
