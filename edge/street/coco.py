"""Writes rendered frames with their truth: images and one COCO file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2

from edge.street import LABELS, Truth
from edge.street.camera import Street

LEAST_VISIBLE = 0.15
"""Share of an object that must be visible for its box to count; hidden ones are marked as crowd, which is neither."""
LEAST_SIDE = 4.0
"""Pixels; smaller objects are marked as crowd as well."""
QUALITY = 92
"""Of the JPEGs."""


def annotation(truth: Truth, image: int, number: int) -> dict[str, Any]:
    """Return the COCO annotation of one object."""
    x1, y1, x2, y2 = truth.box
    plain = truth.visible >= LEAST_VISIBLE and min(x2 - x1, y2 - y1) >= LEAST_SIDE
    return {
        "id": number, "image_id": image, "category_id": LABELS.index(truth.label) + 1,
        "bbox": [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)], "area": round((x2 - x1) * (y2 - y1), 2),
        "iscrowd": int(not plain), "track": truth.track, "visible": truth.visible,
    }  # fmt: skip


def write_coco(
    folder: Path, frames: int, street: Street, fps: float = 10.0, start: float = 0.0, camera: str = "street"
) -> Path:
    """Write `frames` pictures to ``folder/images`` and their truth to ``folder/truth.json``; return that file.

    Raises OSError."""
    pictures = folder / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(frames):
        image, truths = street.render(start + index / fps)
        name = f"{index:06d}.jpg"
        cv2.imwrite(str(pictures / name), image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        size = {"width": image.shape[1], "height": image.shape[0]}
        images.append({"id": index + 1, "file_name": name, **size, "camera": camera, "labelled": True})
        annotations += [annotation(t, index + 1, len(annotations) + i + 1) for i, t in enumerate(truths)]
    categories = [{"id": index + 1, "name": label} for index, label in enumerate(LABELS)]
    target = folder / "truth.json"
    target.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return target
