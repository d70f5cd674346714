"""What was learned from tags alone: a run of ``wayside-central train discover``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from central.learn.discover.evaluate import detections
from central.learn.discover.run import Discoverer
from central.learn.teachers import TeacherError, table
from edge.runtime import Detections
from edge.runtime.prepare import Image


class _Opened:
    def __init__(self, model: str, labels: tuple[str, ...], names: Mapping[str, str], threshold: float) -> None:
        try:
            self.run = Discoverer(Path(model))
        except (ValueError, OSError) as error:  # of any of the rooms that a run is made of
            raise TeacherError(f"{model}: {error}") from None
        self.columns = table(list(self.run.names), labels, names, model)
        self.sees = frozenset(int(c) for c in self.columns if c >= 0)
        self.threshold = threshold

    def propose(self, image: Image) -> Detections:
        """Return what the run finds."""
        boxes, scores, classes = detections(self.run.judge(image), self.threshold)
        ours = self.columns[classes]
        kept = np.flatnonzero(ours >= 0)
        return Detections(boxes[kept], scores[kept], ours[kept])


class DiscoverTeacher:
    """The teacher."""

    name = "discover"

    def open(self, model: str, labels: tuple[str, ...], names: Mapping[str, str], threshold: float) -> _Opened:
        """Return the run in the folder `model`. Raises TeacherError."""
        return _Opened(model, labels, names, threshold)


TEACHER = DiscoverTeacher()
