"""FastestDet (https://github.com/dog-qiuqiu/FastestDet): one ``[1, 5 + C, h, w]`` grid.

Channel 0 is the probability of an object, 1..4 the box, the rest class probabilities (both already squashed in the
graph). Of the cell in column x, row y: centre ((x + tanh t0) / w, (y + tanh t1) / h), size (sigmoid t2, sigmoid t3), as
shares of the image. Score: object^0.6 class^0.4, as in the author's program for it. Input: BGR / 255, stretched.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.runtime import Detections, Float, RuntimeFault
from edge.runtime.decoders.common import best, corners, only, sigmoid
from protocols.pack import Input, Manifest

_UNIT: Final = 1.0 / 255.0
_OBJECT: Final = 0.6
_CLASS: Final = 0.4


class FastestDet:
    """Decoder of the family ``fastestdet``."""

    name = "fastestdet"
    feeding = Input(
        height=352, width=352, dtype="float32", color="bgr", resize="stretch", scale=(_UNIT, _UNIT, _UNIT)
    )  # fmt: skip
    nms_iou = 0.45

    def decode(
        self, outputs: dict[str, Float], manifest: Manifest, threshold: float
    ) -> tuple[Detections, Float | None]:
        """Return the boxes whose score reaches `threshold`, and the score of every class ``[N, C]``."""
        grid = only(outputs, self.name)
        if grid.ndim != 4 or grid.shape[1] != 5 + len(manifest.labels):
            raise RuntimeFault(
                f"{self.name}: output {list(grid.shape)}, expected [1, {5 + len(manifest.labels)}, h, w]"
            )
        rows, columns = grid.shape[2:]
        flat = grid[0].reshape(grid.shape[1], -1)
        y, x = np.divmod(np.arange(rows * columns), columns)
        boxes = corners(
            (x + np.tanh(flat[1])) / columns * manifest.input.width,
            (y + np.tanh(flat[2])) / rows * manifest.input.height,
            sigmoid(flat[3]) * manifest.input.width,
            sigmoid(flat[4]) * manifest.input.height,
        )
        return best(
            boxes, (np.maximum(flat[0], 0) ** _OBJECT * np.maximum(flat[5:], 0) ** _CLASS).T, threshold, manifest
        )


DECODER = FastestDet()
