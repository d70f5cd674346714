"""Runs in an environment with Datumaro: writes its files, and says what it reads in files of ours.

    python datumaro_tool.py write FORMAT FOLDER     the sample below, by Datumaro, into FOLDER
    python datumaro_tool.py read FORMAT FOLDER      what Datumaro sees there, as one JSON object

Nothing of ours is imported here.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from datumaro.components.annotation import AnnotationType, Bbox, Label, Polygon
from datumaro.components.dataset import Dataset
from datumaro.components.dataset_base import DatasetItem
from datumaro.components.media import Image

NAMES = ["car", "bus", "rain"]
SIZE = (48, 64)


def image():
    return Image.from_numpy(data=np.full((*SIZE, 3), 127, np.uint8), ext=".jpg", size=SIZE)


def sample(polygons, last="train"):
    first = [Bbox(4, 5, 20, 10, label=0), Bbox(30.5, 6.25, 12.5, 20, label=1)]
    second = [Polygon([10, 10, 30, 10, 30, 30], label=0)] if polygons else [Bbox(10, 10, 20, 20, label=0)]
    if polygons:
        second.append(Label(2))
    items = [
        DatasetItem(id="one", subset="train", media=image(), annotations=first),
        DatasetItem(id="two", subset="train", media=image(), annotations=second),
        DatasetItem(id="empty", subset=last, media=image(), annotations=[]),
    ]
    return Dataset.from_iterable(items, categories=NAMES)


def seen(dataset):
    names = [label.name for label in dataset.categories()[AnnotationType.label]]
    found = {}
    for item in dataset:
        boxes, masks, tags = [], [], []
        for a in item.annotations:
            if a.type == AnnotationType.bbox:
                x, y, w, h = a.get_bbox()
                boxes.append([names[a.label], *[round(float(v), 2) for v in (x, y, x + w, y + h)]])
            elif a.type == AnnotationType.polygon:
                masks.append([names[a.label], *[round(float(v), 2) for v in a.points]])
            elif a.type == AnnotationType.label:
                tags.append(names[a.label])
        found[item.id] = {"boxes": sorted(boxes), "masks": sorted(masks), "tags": sorted(tags)}
    return {"labels": names, "items": found}


def main():
    verb, form, folder = sys.argv[1:]
    if verb == "write":
        last = "val" if form == "yolo_ultralytics" else "train"  # which wants both
        sample(form in ("coco", "cvat", "datumaro"), last).export(folder, form, save_media=True)
        print(json.dumps({"written": form}))
    else:
        print(json.dumps(seen(Dataset.import_from(folder, form))))


main()
