"""How good a pack is on labelled images: COCO average precision, by size, class and camera, with intervals.

    images + truth -> Model.infer (the code that runs on a node) -> Prediction per image -> Report

Only images that are `labelled` count. An image that is missing or cannot be read is named and left out; the rest is
evaluated. Intervals (95 %) come from a bootstrap over cameras, since frames of one camera are alike; over images where
there is only one camera.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import msgspec
import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from central.learn.detect.coco import Coco, CocoBox, CocoImage, DatasetError
from central.learn.detect.precision import Array, Matches, average_precision, bootstrap, collect, mean_precision
from edge.runtime import Detections, Inference

THRESHOLD: Final = 0.01
"""Score from which detections count: average precision needs the weak ones too."""
RESAMPLES: Final = 300
"""Bootstrap draws; the ends of a 95 % interval then rest on seven of them each."""
SEED: Final = 7
MAX_NAMED: Final = 20
"""Unreadable images named in a report; beyond that they are only counted."""


class Predictor(Protocol):
    """What is evaluated: an `edge.runtime.model.Model`, or a stand-in."""

    labels: tuple[str, ...]

    def infer(
        self, image: NDArray[np.uint8], threshold: float | None = None, every_class: bool = False
    ) -> Inference:
        """Return what is in a BGR image, in its pixels; with `every_class`, a box for each class that reaches it."""
        ...


class ClassReport(msgspec.Struct, frozen=True):
    """One class. AP 0..1, None where it has no boxes."""

    ap: float | None
    ap50: float | None
    boxes: int


class CameraReport(msgspec.Struct, frozen=True):
    """One camera. AP 0..1 over the classes that it shows, None where it shows none."""

    ap: float | None
    ap50: float | None
    images: int
    boxes: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an evaluation. AP and AR are 0..1, None where there is nothing to measure."""

    pack: str = ""
    name: str = ""
    images: int
    boxes: int
    detections: int
    threshold: float
    ap: float | None
    ap50: float | None
    ap75: float | None
    ar: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    classes: dict[str, ClassReport]
    cameras: dict[str, CameraReport]
    intervals: dict[str, tuple[float, float] | None]
    """95 % interval of ``ap`` and ``ap50``."""
    resampled: str
    """What the bootstrap drew: ``camera`` or ``image``."""
    missing_classes: list[str] = []
    """Classes of the truth that the pack does not know: their AP is 0."""
    skipped: list[str] = []
    """Images left out, each with the reason."""
    skipped_images: int = 0
    latency_ms: float | None = None
    """Median time of one image: prepare, run, decode."""


class Prediction(msgspec.Struct, frozen=True):
    """What was found in one image. boxes ``[N, 4]`` xywh, pixels; scores ``[N]``; labels ``[N]`` category ids."""

    image: CocoImage
    boxes: Array
    scores: Array
    labels: NDArray[np.int64]


def read_image(path: Path, image: CocoImage) -> NDArray[np.uint8] | str:
    """Return the image at `path` as BGR ``[H, W, 3]``, or the reason why it cannot be evaluated."""
    if not path.is_file():
        return "missing"
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or not pixels.size:
        return "not a readable image"
    height, width = pixels.shape[:2]
    if (image.width and image.width != width) or (image.height and image.height != height):
        return f"{width}x{height} pixels, the truth says {image.width}x{image.height}"
    return np.asarray(pixels, np.uint8)


def _prediction(image: CocoImage, found: Detections, ids: NDArray[np.int64]) -> Prediction:
    labels = ids[found.classes]
    known = labels >= 0
    boxes = np.asarray(found.boxes[known], np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return Prediction(image, boxes, np.asarray(found.scores[known], np.float64), labels[known])


def predict(
    model: Predictor, images: Path, truth: Coco, threshold: float, progress: Callable[[int, int], None]
) -> tuple[list[Prediction], list[str], list[float]]:
    """Return predictions of all labelled images, those left out with their reasons, and milliseconds per image.

    `progress` is called with images done and images in all. Raises DatasetError where nothing can be evaluated.
    """
    ids = {category.name: category.id for category in truth.categories}
    if not set(ids) & set(model.labels):
        raise DatasetError(f"the pack knows {', '.join(model.labels)}; the truth has none of these: {', '.join(ids)}")
    columns = np.array([ids.get(label, -1) for label in model.labels], np.int64)
    counting = [image for image in truth.images if image.labelled]
    if not counting:
        raise DatasetError("the truth says of every image that it is not labelled; there is nothing to evaluate")
    found: list[Prediction] = []
    skipped: list[str] = []
    spent: list[float] = []
    for done, image in enumerate(counting, 1):
        pixels = read_image(images / image.file_name, image)
        if isinstance(pixels, str):
            skipped.append(f"{image.file_name}: {pixels}")
        else:
            start = time.perf_counter()
            inference = model.infer(pixels, threshold, every_class=True)
            spent.append((time.perf_counter() - start) * 1000)
            found.append(_prediction(image, inference.detections, columns))
        progress(done, len(counting))
    if not found:
        raise DatasetError(f"{images}: none of the {len(counting)} images can be evaluated; the first: {skipped[0]}")
    return found, skipped, spent


def _coco_precision(truth: Coco, found: Sequence[Prediction]) -> dict[str, float | None]:
    """Return COCO's own figures, from its library."""
    kept = {prediction.image.id for prediction in found}
    boxes = [box for box in truth.annotations if box.image_id in kept]
    dataset: dict[str, Any] = {
        "info": {},
        "images": [{"id": p.image.id, "width": p.image.width, "height": p.image.height} for p in found],
        "categories": [{"id": c.id, "name": c.name} for c in truth.categories],
        "annotations": [
            {"id": i, "image_id": b.image_id, "category_id": b.category_id, "bbox": list(b.bbox), "area": b.pixels,
             "iscrowd": b.iscrowd} for i, b in enumerate(boxes, 1)
        ],
    }  # fmt: skip
    results = [
        {"image_id": p.image.id, "category_id": int(label), "bbox": [float(v) for v in box], "score": float(score)}
        for p in found
        for box, score, label in zip(p.boxes, p.scores, p.labels, strict=True)
    ]
    ground = COCO(dataset)
    run = COCOeval_faster(ground, ground.loadRes(results), "bbox", print_function=lambda *_: None)
    run.run()
    names = {"ap": "AP_all", "ap50": "AP_50", "ap75": "AP_75", "ar": "AR_third"}
    # the library's name for recall at the third limit of detections, 100
    names |= {"ap_small": "AP_small", "ap_medium": "AP_medium", "ap_large": "AP_large"}
    stats = run.stats_as_dict
    return {ours: None if stats[theirs] < 0 else float(stats[theirs]) for ours, theirs in names.items()}


def _of_class(category: int, found: Sequence[Prediction], boxes: dict[int, list[CocoBox]]) -> Matches:
    detections, truths = [], []
    for prediction in found:
        pick = prediction.labels == category
        detections.append((prediction.boxes[pick], prediction.scores[pick]))
        wanted = [box for box in boxes[prediction.image.id] if box.category_id == category]
        array = np.array([box.bbox for box in wanted], np.float64).reshape(-1, 4)
        truths.append((array, np.array([bool(box.iscrowd) for box in wanted], bool)))
    return collect(detections, truths)


def _pair(values: Array | None) -> tuple[float | None, float | None]:
    return (None, None) if values is None else (float(values.mean()), float(values[0]))


def _groups(found: Sequence[Prediction]) -> tuple[list[str], NDArray[np.int64]]:
    places = sorted({prediction.image.place for prediction in found})
    index = {place: number for number, place in enumerate(places)}
    return places, np.array([index[prediction.image.place] for prediction in found], np.int64)


def _cameras(classes: list[Matches], places: list[str], groups: NDArray[np.int64]) -> dict[str, CameraReport]:
    reports = {}
    for number, place in enumerate(places):
        weights = (groups == number).astype(np.float64)
        boxes = int(sum(one.boxes @ weights for one in classes))
        ap, ap50 = _pair(mean_precision(classes, weights))
        reports[place or "all"] = CameraReport(ap, ap50, int(weights.sum()), boxes)
    return reports


def _interval(values: Array) -> tuple[float, float] | None:
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def report(
    truth: Coco, found: Sequence[Prediction], threshold: float = THRESHOLD, resamples: int = RESAMPLES, seed: int = SEED
) -> Report:
    """Return the figures of predictions `found` against `truth`. Images without a prediction do not count."""
    boxes = truth.by_image()
    categories = sorted(truth.categories, key=lambda category: category.id)
    classes = [_of_class(category.id, found, boxes) for category in categories]
    places, groups = _groups(found)
    everything = np.ones(len(found))
    by_class = {}
    for category, one in zip(categories, classes, strict=True):
        ap, ap50 = _pair(average_precision(one, everything))
        by_class[category.name] = ClassReport(ap, ap50, int(one.boxes.sum()))
    draws = bootstrap(classes, groups if len(places) > 1 else np.arange(len(found)), resamples, seed)
    figures = _coco_precision(truth, found)
    return Report(
        images=len(found),
        boxes=sum(entry.boxes for entry in by_class.values()),
        detections=sum(len(p.scores) for p in found),
        threshold=threshold,
        classes=by_class,
        cameras=_cameras(classes, places, groups),
        intervals={"ap": _interval(draws.mean(axis=1)), "ap50": _interval(draws[:, 0])},
        resampled="camera" if len(places) > 1 else "image",
        ap=figures["ap"],
        ap50=figures["ap50"],
        ap75=figures["ap75"],
        ar=figures["ar"],
        ap_small=figures["ap_small"],
        ap_medium=figures["ap_medium"],
        ap_large=figures["ap_large"],
    )


def evaluate(
    model: Predictor,
    images: Path,
    truth: Coco,
    threshold: float = THRESHOLD,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Return how good `model` is on the images of `truth`, below `images`. Raises DatasetError or RuntimeFault."""
    found, skipped, spent = predict(model, images, truth, threshold, progress)
    outcome = report(truth, found, threshold, resamples, seed)
    return msgspec.structs.replace(
        outcome,
        missing_classes=[label for label in truth.labels if label not in model.labels],
        skipped=skipped[:MAX_NAMED],
        skipped_images=len(skipped),
        latency_ms=float(np.median(spent)),
    )
