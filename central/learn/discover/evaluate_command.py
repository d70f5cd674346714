"""``wayside-central evaluate-discovery``: how well targets were found, judged by boxes and outlines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer

from central.commands.common import CommandError, plain_errors, result, say
from central.learn.data.coco import load
from central.learn.data.dataset import read_image
from central.learn.detect.coco import DatasetError
from central.learn.discover import masks as outlines
from central.learn.discover.evaluate import Truth, best_boxes, corloc, detections, filled, mask_iou, quick
from central.learn.discover.fit import Judged
from central.learn.discover.masks import MaskError
from central.learn.discover.run import Discoverer
from central.learn.start import StartError
from edge.runtime.nms import overlaps
from export.checkpoint import CheckpointError
from protocols.slots import SlotError

LEVELS: Final = (0.3, 0.5, 0.7)
"""IoUs whose CorLoc are averaged too (MaxBoxAccV2, Choe et al., CVPR 2020)."""


class _Outlined(msgspec.Struct):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    segmentation: Any = None


class _Named(msgspec.Struct):
    id: int
    file_name: str


class _Outlines(msgspec.Struct):
    images: list[_Named]
    annotations: list[_Outlined]


def rings(found: object) -> list[list[tuple[float, float]]]:
    """Return COCO's polygons as rings of (x, y); none where it has another form."""
    if not isinstance(found, list):
        return []
    flats = (flat for flat in found if isinstance(flat, list) and len(flat) >= 6)
    return [list(zip(flat[::2], flat[1::2], strict=False)) for flat in flats]


def masks_iou(truth: Path, images: Path, way: str, model: str, run: Discoverer) -> tuple[float, int] | None:
    """Return the mean IoU of outlines asked for by the true boxes, and of how many; None where the truth has none."""
    data = msgspec.json.decode(truth.read_bytes(), type=_Outlines)
    names = {i.id: i.file_name for i in data.images}
    opened, values = outlines.find(way).open(model, run.look), []
    for row in data.annotations:
        true = rings(row.segmentation)
        image = read_image(str(images / names[row.image_id])) if true else None
        if image is not None:
            x, y, w, h = row.bbox
            mask = opened.masks(image, np.array([[x, y, x + w, y + h]], np.float32))[0]
            values.append(mask_iou(mask, filled(true, *image.shape[:2])))
    return (float(np.mean(values)), len(values)) if values else None


def figures(judged: Sequence[Judged], truth: Sequence[Truth], names: tuple[str, ...]) -> dict[str, Any]:
    """Return CorLoc at several IoUs, that of the two streams alone, and AP50 of the heads as a detector."""
    best = [best_boxes(j.boxes, j.scores) for j in judged]
    known = quick(judged, truth, names)
    levels = {f"{level:g}": corloc(best, truth, level) for level in LEVELS}
    count = sum(len(t.boxes) for t in truth)
    seen = sum(int((overlaps(j.boxes, t.boxes) >= LEVELS[1]).any(0).sum()) for j, t in zip(judged, truth, strict=True))
    return {
        "corloc": levels["0.5"], "corloc_levels": levels, "corloc_mean": float(np.mean(list(levels.values()))),
        "corloc_streams": corloc([best_boxes(j.unmoved, j.raw) for j in judged], truth), "ap50": known.ap50,
        "per_class": known.per_class, "recall": seen / count if count else 0.0, "images": len(truth), "objects": count,
        "detections": sum(len(detections(j)[0]) for j in judged),
    }  # fmt: skip


def evaluate_discovery(
    run: Annotated[Path, typer.Option("--run", help="Folder of a run of train discover.")],
    images: Annotated[Path, typer.Option("--images", help="Folder that the file names of the truth start from.")],
    truth: Annotated[Path, typer.Option("--coco", help="COCO file with boxes (and outlines).")],
    masks: Annotated[str, typer.Option(help="Measure outlines by: grabcut, activation, sam.")] = "",
    teacher: Annotated[str, typer.Option(help="Local folder of the segmenter of --masks sam.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Measure a run of discovery on images whose boxes are known: CorLoc, AP50, and the IoU of outlines.

    Example: wayside-central evaluate-discovery --run runs/found --images street/images --coco street/val.json --json
    """
    with plain_errors(DatasetError, StartError, CheckpointError, MaskError, SlotError, ValueError):
        opened = Discoverer(run)
        judged, true, unread = [], [], 0
        for example in load(truth, images, opened.names):
            image = read_image(str(example.path))
            if image is None:
                unread += 1
                continue
            judged.append(opened.judge(image))
            true.append(Truth(example.boxes, example.classes))
        if not judged:
            raise CommandError(f"{images}: none of the images of {truth} can be read")
        answer = figures(judged, true, opened.names)
        if masks:
            found = masks_iou(truth, images, masks, teacher, opened)
            answer |= {"mask_iou": None, "masks": 0} if found is None else {"mask_iou": found[0], "masks": found[1]}
    if unread:
        say(f"left out: {unread} images that cannot be read")
    shown = f"CorLoc {100 * answer['corloc']:.1f}, AP50 {100 * answer['ap50']:.1f}, {answer['images']} images"
    result({"run": str(run), **answer, "unread": unread}, as_json, shown)
