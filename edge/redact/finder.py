"""A detector of faces, number plates or whatever else is secret, as a pack: ours or a foreign one.

It runs on frames that are kept and on snapshots only, at most a few a minute, so that its size does not matter much.
"""

from __future__ import annotations

import threading
from typing import Protocol

from edge.redact.redactor import RedactError
from edge.redact.regions import Regions
from edge.runtime import Inference, RuntimeFault
from edge.sources import Image
from protocols.messages import Detection


class ModelLike(Protocol):
    """`edge.runtime.model.Model`, as it is used here."""

    labels: tuple[str, ...]

    def infer(self, image: Image, threshold: float | None = None) -> Inference:
        """Return what the model sees in `image`."""
        ...


class PackFinder:
    """A model that finds `regions.labels`, from score `threshold` (0..1) on; the pack's own where None.

    One serves all cameras of a node, one frame at a time. Implements `edge.redact.Finder`.
    """

    def __init__(self, model: ModelLike, regions: Regions, threshold: float | None = None) -> None:
        self._model, self.regions, self._threshold = model, regions, threshold
        self._busy = threading.Lock()

    def find(self, image: Image) -> list[Detection]:
        """Return what is seen in `image`. Raises RedactError where the model fails: then nobody knows what to hide."""
        try:
            with self._busy:
                found = self._model.infer(image, self._threshold).detections
        except RuntimeFault as error:
            raise RedactError(f"the detector of what must be hidden failed: {error}") from None
        return [
            Detection(
                box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                label=self._model.labels[int(found.classes[i])],
                score=min(1.0, max(0.0, float(found.scores[i]))),
            )
            for i, box in enumerate(found.boxes)
        ]
