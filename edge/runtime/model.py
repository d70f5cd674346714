"""A pack, opened and ready: one call per frame.

prepare -> backend -> decoder -> label map -> NMS -> boxes, spread and blur in source pixels
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from edge.runtime import (
    Backend,
    Detections,
    Float,
    Inference,
    RuntimeFault,
    decoders,
    nms,
)
from edge.runtime.prepare import Image, Transform, prepare
from edge.runtime.sharpness.calibration import table
from protocols.pack import Manifest, Pack, PackError

TENSORRT: Final = "tensorrt"
ALIASES: Final = {"cpu": "onnxruntime-cpu", "cuda": "onnxruntime-cuda"}
"""Short names that people type."""


def open_backend(pack: Pack, backend: str, precision: str, threads: int) -> Backend:
    """Return a session of `pack` in `precision` on `backend`. Raises RuntimeFault."""
    if threads < 1:
        raise RuntimeFault(f"threads must be 1 or more, not {threads}")
    try:
        path = pack.variant(precision)
    except PackError as error:
        raise RuntimeFault(str(error)) from None
    if backend == TENSORRT:
        from edge.runtime.tensorrt import TensorRt

        return TensorRt(pack, precision)
    from edge.runtime.session import (
        Session,  # here, so that the decoders can be used where ONNX Runtime is not installed
    )

    return Session(path, ALIASES.get(backend, backend), threads)


def our_labels(manifest: Manifest) -> tuple[str, ...]:
    """Return the labels that detections carry: those of the network, or the targets of its label map."""
    if not manifest.label_map:
        return tuple(manifest.labels)
    unknown = sorted(set(manifest.label_map) - set(manifest.labels))
    if unknown:
        raise RuntimeFault(f"the label map names {unknown[0]!r}, which the model does not have")
    return tuple(dict.fromkeys(manifest.label_map.values()))


class LabelMap:
    """From a foreign network's classes to ours; classes that are not in the map are ignored."""

    def __init__(self, manifest: Manifest, labels: tuple[str, ...]) -> None:
        self.columns = [
            [i for i, name in enumerate(manifest.labels) if manifest.label_map.get(name) == ours] for ours in labels
        ]
        self.table = np.full(len(manifest.labels), -1, np.int64)
        for ours, columns in enumerate(self.columns):
            self.table[columns] = ours

    def apply(self, found: Detections, scores: Float | None) -> tuple[Detections, Float | None]:
        """Return the detections whose best class is mapped, renamed; class scores are the best of those merged."""
        mapped = self.table[found.classes]
        keep = np.flatnonzero(mapped >= 0)
        kept = found.take(keep)
        kept = Detections(kept.boxes, kept.scores, mapped[keep], kept.spread, kept.blur)
        if scores is None:
            return kept, None
        merged = [scores[keep][:, columns].max(axis=1) for columns in self.columns]
        return kept, np.stack(merged, axis=1).astype(np.float32)


def pool(blur: Float, boxes: Float, height: int, width: int) -> Float:
    """Return the mean ``[N]`` of the map ``[h, w]`` under each box (xyxy, pixels of the `height` x `width` input).

    A box covers every cell that it touches, at least one. One integral image serves all boxes.
    """
    rows, columns = blur.shape
    integral = np.zeros((rows + 1, columns + 1), np.float64)
    integral[1:, 1:] = blur.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    x1 = np.clip(np.floor(boxes[:, 0] * columns / width), 0, columns - 1).astype(np.int64)
    y1 = np.clip(np.floor(boxes[:, 1] * rows / height), 0, rows - 1).astype(np.int64)
    x2 = np.maximum(
        np.clip(np.ceil(boxes[:, 2] * columns / width), 0, columns).astype(np.int64),
        x1 + 1,
    )
    y2 = np.maximum(np.clip(np.ceil(boxes[:, 3] * rows / height), 0, rows).astype(np.int64), y1 + 1)
    total = integral[y2, x2] - integral[y1, x2] - integral[y2, x1] + integral[y1, x1]
    return np.asarray(total / ((y2 - y1) * (x2 - x1)), np.float32)


def crop(blur: Float, transform: Transform, height: int, width: int) -> Float:
    """Return the part of the map ``[h, w]`` that lies wholly on the image, without the padding; at least one cell."""
    rows, columns = blur.shape
    x1, y1, x2, y2 = transform.content
    left, right = -(-x1 * columns // width), x2 * columns // width
    top, bottom = -(-y1 * rows // height), y2 * rows // height
    left, top = min(left, columns - 1), min(top, rows - 1)
    return blur[top : max(bottom, top + 1), left : max(right, left + 1)]


class Model:
    """An opened pack. Not for use by several threads at once.

    `backend`: ``auto``, ``cpu``, ``cuda``, ``onnxruntime-tensorrt`` or ``tensorrt``; `precision` a variant of the pack;
    `threads` of one pass. Raises RuntimeFault where the pack cannot be run here.
    """

    def __init__(
        self,
        pack: Pack,
        backend: str = "auto",
        precision: str = "fp32",
        threads: int = 1,
    ) -> None:
        manifest = pack.manifest
        self.pack = pack
        self.precision = precision
        self.labels = our_labels(manifest)
        self.decoder = decoders.find(manifest.decoder)
        self._map = LabelMap(manifest, self.labels) if manifest.label_map else None
        known = table(pack)
        self._curve = None if known is None else known.dense
        self.backend = open_backend(pack, backend, precision, threads)
        self.backend_name = self.backend.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, image: Image) -> tuple[NDArray[np.generic], Transform]:
        """Return what the graph is fed with for a BGR `image` ``[H, W, 3]``, and the way back to its pixels."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise RuntimeFault(f"an image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
        return prepare(image, self.pack.manifest.input)

    def infer(self, image: Image, threshold: float | None = None, every_class: bool = False) -> Inference:
        """Return what the model sees in a BGR `image` ``[H, W, 3]``; outputs that the pack does not have are None.

        `threshold` (0..1) defaults to the pack's own. With `every_class` a box counts once for each class that reaches
        it, as average precision wants, else for its best class alone, as people do. Raises RuntimeFault.
        """
        inputs, transform = self.prepare(image)
        return self.interpret(self.backend.run(inputs), transform, threshold, green(inputs, transform), every_class)

    def interpret(
        self,
        outputs: dict[str, Float],
        transform: Transform,
        threshold: float | None = None,
        picture: Image | None = None,
        every_class: bool = False,
    ) -> Inference:
        """Return the inference that raw `outputs` stand for: decoded, NMS done, in source pixels; with `picture`."""
        manifest = self.pack.manifest
        limit = manifest.score_threshold if threshold is None else threshold
        found, scores = self.decoder.decode(outputs, manifest, limit)
        if self._map is not None:
            found, scores = self._map.apply(found, scores)
        if every_class and scores is not None:
            found, scores = _of_every_class(found, scores, limit)
        found, keep = nms.nms(found, manifest.nms_iou)
        blur = outputs.get("blur")
        blur_map = None if blur is None else np.asarray(blur.reshape(blur.shape[-2:]), np.float32)
        seen = None if blur_map is None else crop(blur_map, transform, manifest.input.height, manifest.input.width)
        return Inference(
            self._in_source(found, transform, blur_map),
            None if scores is None else scores[keep],
            seen,
            _flat(outputs.get("embedding")),
            _flat(outputs.get("tags")),
            picture,
            None if seen is None or self._curve is None else self._curve.at(float(seen.mean())),
        )

    def _in_source(self, found: Detections, transform: Transform, blur: Float | None) -> Detections:
        spec = self.pack.manifest.input
        return Detections(
            transform.to_source(found.boxes),
            found.scores,
            found.classes,
            None if found.spread is None else transform.lengths_to_source(found.spread),
            None if blur is None else pool(blur, found.boxes, spec.height, spec.width),
        )

    def close(self) -> None:
        """Release the backend. Safe to call twice."""
        self.backend.close()


def _of_every_class(found: Detections, scores: Float, limit: float) -> tuple[Detections, Float]:
    """Return `found` with a box for each class whose score ``[N, C]`` reaches `limit`, and their scores."""
    row, column = np.nonzero(scores >= limit)
    chosen = found.take(row)
    return replace(chosen, scores=scores[row, column], classes=column.astype(np.int64)), scores[row]


def green(inputs: NDArray[np.generic], transform: Transform) -> NDArray[np.uint8] | None:
    """Return the green plane ``[h, w]`` of what a network is fed with, without padding; None unless it is uint8."""
    if inputs.dtype != np.uint8:
        return None
    x1, y1, x2, y2 = transform.content
    return np.asarray(inputs[0, 1, y1:y2, x1:x2], np.uint8)


def _flat(values: Float | None) -> Float | None:
    return None if values is None else np.asarray(values.reshape(-1), np.float32)
