"""Our own networks: ``boxes`` [K, 4] xyxy input pixels, ``scores`` [K, C], ``spread`` [K, 4] pixels."""

from __future__ import annotations

from edge.runtime import Detections, Float, RuntimeFault
from edge.runtime.decoders.common import best
from protocols.pack import Input, Manifest


class Wayside:
    """Decoder of the family ``wayside``. Everything but the threshold is done in the graph."""

    name = "wayside"
    feeding = Input(height=384, width=640)
    nms_iou = 0.6

    def decode(
        self, outputs: dict[str, Float], manifest: Manifest, threshold: float
    ) -> tuple[Detections, Float | None]:
        """Return the boxes whose best class reaches `threshold`, and their class probabilities ``[N, C]``."""
        try:
            boxes, scores = outputs["boxes"], outputs["scores"]
        except KeyError as error:
            raise RuntimeFault(f"the model has no output {error}; it is not of the family {self.name!r}") from None
        return best(boxes, scores, threshold, manifest, outputs.get("spread"))


DECODER = Wayside()
