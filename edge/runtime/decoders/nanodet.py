"""NanoDet-Plus (https://github.com/RangiLyu/nanodet): one ``[1, N, C + 4 R]`` output.

N counts the cells of strides 8, 16, 32, 64, row by row. Class probabilities come first (already squashed), then for
each side (left, top, right, bottom) the R logits of a distribution over the distances 0, 1 ... R - 1 strides from the
cell's corner (x s, y s) (generalised focal loss, Li et al. 2020). Their mean is the side, their deviation its spread.
Input: BGR, normalised, stretched.
"""

from __future__ import annotations

import numpy as np

from edge.runtime import Detections, Float, RuntimeFault
from edge.runtime.decoders.common import best, levels, only, softmax
from protocols.pack import Input, Manifest


class NanoDet:
    """Decoder of the family ``nanodet``."""

    name = "nanodet"
    feeding = Input(
        height=416,
        width=416,
        dtype="float32",
        color="bgr",
        resize="stretch",
        mean=(103.53, 116.28, 123.675),
        scale=(1 / 57.375, 1 / 57.12, 1 / 58.395),
    )
    nms_iou = 0.6

    def decode(
        self, outputs: dict[str, Float], manifest: Manifest, threshold: float
    ) -> tuple[Detections, Float | None]:
        """Return the boxes whose best class reaches `threshold`, with their spread, and class scores ``[N, C]``."""
        rows = only(outputs, self.name)
        classes = len(manifest.labels)
        bins = (rows.shape[-1] - classes) // 4
        if rows.ndim != 3 or bins < 2 or classes + 4 * bins != rows.shape[2]:
            raise RuntimeFault(f"{self.name}: output {list(rows.shape)}, expected [1, N, {classes} + 4 R]")
        scores = rows[0, :, :classes]
        x, y, stride = levels(manifest, len(scores), self.name)
        keep = np.flatnonzero(scores.max(axis=1, initial=0.0) >= threshold)
        x, y, stride = x[keep], y[keep], stride[keep]
        share = softmax(rows[0, keep, classes:].reshape(-1, 4, bins))
        steps = np.arange(bins, dtype=np.float32)
        mean = share @ steps
        spread = np.sqrt(np.maximum(share @ steps**2 - mean**2, 0)) * stride[:, None]
        left, top, right, bottom = (mean * stride[:, None]).T
        boxes = np.stack([x * stride - left, y * stride - top, x * stride + right, y * stride + bottom], axis=1)
        return best(boxes, scores[keep], threshold, manifest, spread)


DECODER = NanoDet()
