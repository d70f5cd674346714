"""The output that many networks share since YOLOv8: ``[1, 4 + C, N]``, or transposed ``[1, N, 4 + C]``.

Of each of N candidates: centre x, centre y, width, height in input pixels, then class probabilities. Everything else is
done in the graph. Where both sides are 4 + C, the first form is meant. Input: RGB / 255.
"""

from __future__ import annotations

from typing import Final

from edge.runtime import Detections, Float, RuntimeFault
from edge.runtime.decoders.common import best, corners, only
from protocols.pack import Input, Manifest

_UNIT: Final = 1.0 / 255.0


class YoloV8:
    """Decoder of the family ``yolov8``."""

    name = "yolov8"
    feeding = Input(height=640, width=640, dtype="float32", scale=(_UNIT, _UNIT, _UNIT))
    nms_iou = 0.6

    def decode(
        self, outputs: dict[str, Float], manifest: Manifest, threshold: float
    ) -> tuple[Detections, Float | None]:
        """Return the boxes whose best class reaches `threshold`, and class probabilities ``[N, C]``."""
        values = only(outputs, self.name)
        side = 4 + len(manifest.labels)
        if values.ndim != 3 or side not in values.shape[1:]:
            raise RuntimeFault(f"{self.name}: output {list(values.shape)}, expected [1, {side}, N] or [1, N, {side}]")
        rows = values[0].T if values.shape[1] == side else values[0]
        boxes = corners(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3])
        return best(boxes, rows[:, 4:], threshold, manifest)


DECODER = YoloV8()
