"""A pack, our own or a foreign one, through the very code that runs on a node."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from central.learn.teachers import TeacherError, table
from edge.runtime import Detections, RuntimeFault, packs
from edge.runtime.model import Model
from edge.runtime.prepare import Image
from protocols.pack import PackError


class _Opened:
    def __init__(self, model: str, labels: tuple[str, ...], names: Mapping[str, str], threshold: float) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:  # only opening needs the files
                self.model = Model(packs.find(model, Path(scratch)))
        except (PackError, RuntimeFault) as error:
            raise TeacherError(str(error)) from None
        self.columns = table(list(self.model.labels), labels, names, model)
        self.sees = frozenset(int(c) for c in self.columns if c >= 0)
        self.threshold = threshold

    def propose(self, image: Image) -> Detections:
        """Return what the pack sees."""
        found = self.model.infer(image, self.threshold).detections
        ours = self.columns[found.classes]
        kept = found.take(np.flatnonzero(ours >= 0))
        return Detections(kept.boxes, kept.scores, ours[ours >= 0], kept.spread, kept.blur)


class PackTeacher:
    """The teacher."""

    name = "pack"

    def open(self, model: str, labels: tuple[str, ...], names: Mapping[str, str], threshold: float) -> _Opened:
        """Return the pack called `model`: a folder, a file, or ``base``. Raises TeacherError."""
        return _Opened(model, labels, names, threshold)


TEACHER = PackTeacher()
