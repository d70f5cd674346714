"""Any object detector of Transformers: D-FINE, DEIMv2, RT-DETR, RF-DETR, DETR, YOLOS and whatever else it has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from central.learn.teachers import TeacherError, hub, relabel, select, table
from edge.runtime import Detections
from edge.runtime.prepare import Image


class _Opened:
    def __init__(self, model: str, labels: tuple[str, ...], names: Mapping[str, str], threshold: float) -> None:
        self.network, self.prepare = hub.load("AutoModelForObjectDetection", model)
        told = self.network.config.id2label
        theirs = [str(told.get(i, i)) for i in range(len(told))]
        self.model, self.labels, self.threshold = model, labels, threshold
        self.columns = table(theirs, labels, names, model)
        self.sees = frozenset(int(c) for c in self.columns if c >= 0)

    @torch.no_grad()
    def propose(self, image: Image) -> Detections:
        """Return what the detector sees; its last class competes as "no object" where it has one more than names."""
        pixels, scale = self.prepare(image)
        out = self.network(pixel_values=pixels)
        logits, count = out.logits[0].float(), len(self.columns)
        if logits.shape[1] not in (count, count + 1):
            raise TeacherError(f"{self.model}: {logits.shape[1]} columns for {count} classes")
        scores = logits.sigmoid() if logits.shape[1] == count else logits.softmax(-1)[:, :count]
        merged = relabel(np.asarray(scores.cpu().numpy(), np.float32), self.columns, len(self.labels))
        return select(hub.corners(out.pred_boxes[0], scale), merged, self.threshold)


class TransformersDetector:
    """The teacher."""

    name = "transformers"

    def open(self, model: str, labels: tuple[str, ...], names: Mapping[str, str], threshold: float) -> _Opened:
        """Return the detector at `model`. Raises TeacherError."""
        return _Opened(model, labels, names, threshold)


TEACHER = TransformersDetector()
