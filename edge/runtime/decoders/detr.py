"""Transformers that give a set of boxes: RT-DETR, D-FINE, DEIM, RF-DETR, and DETR itself.

``logits`` [1, Q, C] and ``pred_boxes`` [1, Q, 4]: centre x, centre y, width, height as shares of the input. C logits
are independent (sigmoid, as the networks trained with focal loss have them); C + 1 compete with "no object", the last
(softmax, as in Carion et al. 2020). The set has no duplicates, so nothing is suppressed. Input: RGB / 255, stretched.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.runtime import Detections, Float, RuntimeFault
from edge.runtime.decoders.common import best, corners, sigmoid, softmax
from protocols.pack import Input, Manifest

_UNIT: Final = 1.0 / 255.0
_LOGITS: Final = ("logits", "pred_logits")
_BOXES: Final = ("pred_boxes", "boxes")


class Detr:
    """Decoder of the family ``detr``."""

    name = "detr"
    feeding = Input(height=640, width=640, dtype="float32", resize="stretch", scale=(_UNIT, _UNIT, _UNIT))
    nms_iou = 1.0

    def decode(
        self, outputs: dict[str, Float], manifest: Manifest, threshold: float
    ) -> tuple[Detections, Float | None]:
        """Return the queries whose best class reaches `threshold`, and class probabilities ``[N, C]``."""
        logits = next((outputs[name] for name in _LOGITS if name in outputs), None)
        shares = next((outputs[name] for name in _BOXES if name in outputs), None)
        if logits is None or shares is None:
            raise RuntimeFault(
                f"{self.name}: the model has {', '.join(outputs) or 'nothing'}; expected logits and pred_boxes"
            )
        count = len(manifest.labels)
        if logits.ndim != 3 or logits.shape[2] not in (count, count + 1) or shares.shape != (1, logits.shape[1], 4):
            raise RuntimeFault(
                f"{self.name}: logits {list(logits.shape)}, boxes {list(shares.shape)}; "
                f"expected [1, Q, {count}] or [1, Q, {count + 1}], and [1, Q, 4]"
            )
        scores = sigmoid(logits[0]) if logits.shape[2] == count else softmax(logits[0])[:, :count]
        spec = manifest.input
        cx, cy, width, height = (
            shares[0].T * np.array([spec.width, spec.height] * 2, np.float32)[:, None]
        )  # fmt: skip
        return best(corners(cx, cy, width, height), scores, threshold, manifest)


DECODER = Detr()
