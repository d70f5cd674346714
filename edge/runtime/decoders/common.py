"""What the decoders share: picking the best class, grids, and naming an output that does not fit."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edge.runtime import Detections, Float, RuntimeFault
from protocols.pack import Manifest


def best(
    boxes: Float,
    scores: Float,
    threshold: float,
    manifest: Manifest,
    spread: Float | None = None,
) -> tuple[Detections, Float]:
    """Return one detection per row whose best class reaches `threshold`, and the class probabilities of those rows.

    boxes ``[K, 4]`` xyxy, scores ``[K, C]`` 0..1, spread ``[K, 4]`` or None. Rows that are not finite are left out.
    Raises RuntimeFault where the columns do not fit the labels.
    """
    if scores.ndim != 2 or scores.shape[1] != len(manifest.labels) or boxes.shape != (len(scores), 4):
        raise RuntimeFault(
            f"the model gives boxes {list(boxes.shape)} and scores {list(scores.shape)}; "
            f"{len(manifest.labels)} labels need [K, 4] and [K, {len(manifest.labels)}]"
        )
    classes = scores.argmax(axis=1) if len(scores) else np.zeros(0, np.int64)
    top = scores[np.arange(len(scores)), classes]
    keep = np.flatnonzero((top >= threshold) & np.isfinite(boxes).all(axis=1))
    picked = None if spread is None else np.asarray(spread[keep], np.float32)
    found = Detections(
        np.asarray(boxes[keep], np.float32),
        np.asarray(top[keep], np.float32),
        classes[keep].astype(np.int64),
        picked,
    )
    return found, np.asarray(scores[keep], np.float32)


def only(outputs: dict[str, Float], family: str) -> Float:
    """Return the single output of a graph. Raises RuntimeFault where it has several or none."""
    if len(outputs) != 1:
        raise RuntimeFault(f"family {family!r} has one output, the model has {', '.join(outputs) or 'none'}")
    return next(iter(outputs.values()))


def sigmoid(values: Float) -> Float:
    """Return the logistic function of `values`, 0..1, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float32)


def corners(cx: Float, cy: Float, width: Float, height: Float) -> Float:
    """Return boxes ``[N, 4]`` xyxy from centres and sizes, each ``[N]``."""
    return np.stack([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], axis=1).astype(np.float32)


def softmax(values: Float) -> Float:
    """Return `values` turned into shares that add up to 1 along the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


@lru_cache(maxsize=8)
def _cells(height: int, width: int, strides: tuple[int, ...]) -> tuple[Float, Float, Float]:
    columns, rows, sizes = [], [], []
    for stride in strides:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        columns.append(x.ravel())
        rows.append(y.ravel())
        sizes.append(np.full(x.size, stride))
    found = [np.concatenate(part).astype(np.float32) for part in (columns, rows, sizes)]
    for array in found:
        array.flags.writeable = False
    return found[0], found[1], found[2]


def levels(manifest: Manifest, count: int, family: str) -> tuple[Float, Float, Float]:
    """Return column, row and stride, each ``[N]``, of the cells of a pyramid of three or four strides from 8 on.

    Which it is follows from the `count` of cells. Raises RuntimeFault where neither fits the input.
    """
    height, width = manifest.input.height, manifest.input.width
    for strides in ((8, 16, 32), (8, 16, 32, 64)):
        found = _cells(height, width, strides)
        if len(found[0]) == count:
            return found
    raise RuntimeFault(f"{family}: {count} cells do not fit an input of {height}x{width} at strides 8, 16, 32 (64)")
