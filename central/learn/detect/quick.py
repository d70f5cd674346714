"""Detections and AP50 of a network in torch, for watching a training run. Figures that count come from `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from central.learn.data import Example
from central.learn.data.dataset import read_image
from edge.runtime.nms import overlaps, suppress
from edge.runtime.prepare import letterbox

THRESHOLD: Final = 0.01
MATCH: Final = 0.5
SURE: Final = 0.3
"""Score from which a detection enters the confusion matrix."""


@dataclass(frozen=True)
class Found:
    """Detections of one image in input pixels and the truth beside them. boxes ``[N, 4]`` xyxy, best first."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    true_boxes: NDArray[np.float32]
    true_classes: NDArray[np.int64]


@dataclass(frozen=True)
class Quick:
    """AP50 (0..1) over the classes that occur, per class, and confusion ``[C+1, C+1]`` (rows true, last = none)."""

    ap50: float
    per_class: dict[str, float]
    confusion: NDArray[np.int64]
    threshold: float = 0.3
    """Score with the best F1."""


@torch.no_grad()
def detect(network: Any, examples: Sequence[Example], device: torch.device) -> list[Found]:
    """Run `network` (left in evaluation mode) on `examples`; unreadable images are left out."""
    network.eval()
    config = network.config
    found = []
    for example in examples:
        image = read_image(str(example.path))
        if image is None:
            continue
        fitted, transform = letterbox(image, config.height, config.width)
        tensor = torch.from_numpy(np.ascontiguousarray(fitted[:, :, ::-1].transpose(2, 0, 1)))[None].to(device)
        out = network(tensor)
        scores = out["scores"].float().cpu().numpy()
        row, column = np.nonzero(scores > THRESHOLD)
        boxes, flat = out["boxes"].float().cpu().numpy()[row], scores[row, column]
        keep = suppress(boxes, flat, column, network.nms_iou, 100)
        truth = transform.to_input(example.boxes) if len(example.boxes) else example.boxes
        found.append(Found(boxes[keep], flat[keep], column[keep], truth, example.classes))
    return found


def average_precision(hits: NDArray[np.bool_], scores: NDArray[np.float32], count: int) -> float:
    """Return the area under the precision envelope (0..1) of detections that are `hits` or not, for `count` objects."""
    if not count or not len(hits):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(hits[order])
    precision = right / np.arange(1, len(right) + 1)
    recall = np.concatenate(([0.0], right / count))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope))


def _matches(image: Found, label: int) -> tuple[NDArray[np.bool_], NDArray[np.float32], int]:
    mine, true = image.classes == label, image.true_classes == label
    scores = image.scores[mine]
    iou = overlaps(image.boxes[mine], image.true_boxes[true])
    hits, taken = np.zeros(len(scores), bool), np.zeros(int(true.sum()), bool)
    for i in range(len(scores)):
        free = np.where(taken, 0.0, iou[i]) if len(taken) else np.zeros(0)
        if len(free) and free.max() >= MATCH:
            hits[i] = taken[free.argmax()] = True
    return hits, scores, int(true.sum())


def measure(found: Sequence[Found], labels: tuple[str, ...]) -> Quick:
    """Return AP50 and the confusion matrix of `found`."""
    per_class = {}
    for label, name in enumerate(labels):
        parts = [_matches(image, label) for image in found]
        count = sum(p[2] for p in parts)
        if count:
            hits, scores = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
            per_class[name] = average_precision(hits, scores, count)
    confusion = np.zeros((len(labels) + 1, len(labels) + 1), np.int64)
    for image in found:
        _confuse(image, confusion)
    mean = float(np.mean(list(per_class.values()))) if per_class else 0.0
    return Quick(mean, per_class, confusion, best_threshold(found, 0.3))


def _confuse(image: Found, confusion: NDArray[np.int64]) -> None:
    sure = image.scores >= SURE
    iou = overlaps(image.true_boxes, image.boxes[sure])
    classes, used = image.classes[sure], np.zeros(int(sure.sum()), bool)
    for i, true in enumerate(image.true_classes):
        free = np.where(used, 0.0, iou[i]) if len(used) else np.zeros(0)
        if len(free) and free.max() >= MATCH:
            used[free.argmax()] = True
            confusion[true, classes[free.argmax()]] += 1
        else:
            confusion[true, -1] += 1
    for label in classes[~used]:
        confusion[-1, label] += 1


def best_threshold(found: Sequence[Found], default: float, fewest: int = 20) -> float:
    """Return the score (0.15..0.6) of the best F1 over all classes; `default` with fewer than `fewest` objects."""
    if sum(len(image.true_classes) for image in found) < fewest:
        return default
    labels = sorted({int(c) for image in found for c in image.true_classes})
    parts = [_matches(image, label) for image in found for label in labels]
    hits, scores = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    count = sum(p[2] for p in parts)
    best, chosen = -1.0, default
    for threshold in np.arange(0.15, 0.601, 0.025):
        sure = scores >= threshold
        right = int(hits[sure].sum())
        f1 = 2 * right / max(1, int(sure.sum()) + count)
        if f1 > best:
            best, chosen = f1, float(threshold)
    return round(chosen, 3)
