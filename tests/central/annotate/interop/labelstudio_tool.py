"""Runs in an environment with label-studio-sdk: writes its tasks, and says what it reads in files of ours.

    python labelstudio_tool.py write FORMAT FOLDER     tasks that its converter makes of a COCO file, into FOLDER
    python labelstudio_tool.py read FORMAT FOLDER      what its converter makes of FOLDER/tasks.json, with
                                                       FOLDER/config.xml as interface, as one JSON object

Nothing of ours is imported here.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.imports.coco import convert_coco_to_ls
from label_studio_sdk.label_interface import LabelInterface

COCO = {
    "images": [
        {"id": 1, "file_name": "one.jpg", "width": 64, "height": 48},
        {"id": 2, "file_name": "two.jpg", "width": 64, "height": 48},
        {"id": 3, "file_name": "empty.jpg", "width": 64, "height": 48},
    ],
    "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 5, 20, 10], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [30.5, 6.25, 12.5, 20], "iscrowd": 0},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [10, 10, 20, 20], "iscrowd": 0,
         "segmentation": [[10, 10, 30, 10, 30, 30]]},
    ],
}  # fmt: skip


def write(folder: Path) -> dict:
    (folder / "coco.json").write_text(json.dumps(COCO))
    convert_coco_to_ls(str(folder / "coco.json"), str(folder / "tasks.json"), use_super_categories=False)
    (folder / "coco.json").unlink()
    return {"written": "label-studio"}


def named(image: dict) -> str:
    return Path(image["file_name"]).name.split("=")[-1]


def read(folder: Path) -> dict:
    config, tasks = (folder / "config.xml").read_text(), json.loads((folder / "tasks.json").read_text())
    interface = LabelInterface(config)
    interface.validate()
    for task in tasks:
        assert interface.validate_task({"data": task["data"]}), f"not a task of this interface: {task['data']}"
        for annotation in task["annotations"]:
            assert interface.validate_annotation(annotation), f"not an annotation of this interface: {annotation}"
    converter = Converter(config, str(folder), download_resources=False)
    out, images = str(folder / "out"), str(folder)
    converter.convert_to_coco(str(folder / "tasks.json"), out, output_image_dir=images, is_dir=False)
    found = json.loads((folder / "out" / "result.json").read_text())
    names = {c["id"]: c["name"] for c in found["categories"]}
    items = {named(i): {"boxes": [], "masks": []} for i in found["images"]}
    images = {i["id"]: named(i) for i in found["images"]}
    for a in found["annotations"]:
        x, y, w, h = a["bbox"]
        kind = "masks" if a.get("segmentation") else "boxes"
        sides = [round(v, 2) for v in (x, y, x + w, y + h)]
        items[images[a["image_id"]]][kind].append([names[a["category_id"]], *sides])
    for item in items.values():
        for boxes in item.values():
            boxes.sort()
    return {"labels": sorted(names.values()), "items": items}


def main() -> None:
    verb, _, folder = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):
        answer = {"write": write, "read": read}[verb](Path(folder))
    print(json.dumps(answer))


main()
