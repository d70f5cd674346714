"""YOLOX (Ge et al., 2021, https://github.com/Megvii-BaseDetection/YOLOX): one ``[1, N, 5 + C]`` output.

N counts the cells of strides 8, 16, 32 (and 64 where they add up), row by row. A cell in column x, row y of stride s
has its centre at ((x + t0) s, (y + t1) s) and the size (s exp t2, s exp t3), input pixels; then object and class
probabilities, both already squashed in the graph. Score: their product. Input: BGR, 0..255.
"""

from __future__ import annotations

import numpy as np

from edge.runtime import Detections, Float, RuntimeFault
from edge.runtime.decoders.common import best, corners, levels, only
from protocols.pack import Input, Manifest


class Yolox:
    """Decoder of the family ``yolox`` (exported without decoding in the graph, which is its default)."""

    name = "yolox"
    feeding = Input(height=416, width=416, dtype="float32", color="bgr")
    nms_iou = 0.45

    def decode(
        self, outputs: dict[str, Float], manifest: Manifest, threshold: float
    ) -> tuple[Detections, Float | None]:
        """Return the boxes whose score reaches `threshold`, and object times class probability ``[N, C]``."""
        rows = only(outputs, self.name)
        columns = 5 + len(manifest.labels)
        if rows.ndim != 3 or rows.shape[2] != columns:
            raise RuntimeFault(f"{self.name}: output {list(rows.shape)}, expected [1, N, {columns}]")
        cells = rows[0]
        x, y, stride = levels(manifest, len(cells), self.name)
        size = np.exp(np.minimum(cells[:, 2:4], 20)) * stride[:, None]
        boxes = corners((x + cells[:, 0]) * stride, (y + cells[:, 1]) * stride, size[:, 0], size[:, 1])
        return best(boxes, cells[:, 4:5] * cells[:, 5:], threshold, manifest)


DECODER = Yolox()
