"""Models that are broken on purpose, by the name of their pack, in the processes in which a pack proves itself.

    python -m tests.faults.bad_models check|beside ARGUMENTS     as edge.update.check and edge.update.beside

What comes after ``later-`` happens only in the node itself, where it is met last.
"""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from edge.runtime import Detections, Inference, RuntimeFault
from protocols.pack import Pack

PASS_S = 0.012
"""Seconds of one pass of a model that is well."""
BOXES = np.array([[1, 2, 30, 40], [50, 60, 90, 99]], np.float32)


class BadModel:
    """Sees two cars; fails as its pack's name says."""

    labels: tuple[str, ...] = ("car",)
    backend_name = "planted"

    def __init__(self, pack: Pack, in_node: bool = False, **_: Any) -> None:
        self.pack, self.closed = pack, False
        name = pack.manifest.name
        later = name.startswith("later-")
        self.kind = name.removeprefix("later-") if later == in_node else ""

    def infer(self, image: Any, threshold: float | None = None) -> Inference:
        """See two cars, or fail."""
        kind, boxes = self.kind, BOXES
        if kind == "crash":
            os.abort()
        if kind == "raise":
            raise RuntimeFault("planted")
        if kind == "hang":
            time.sleep(1e6)
        time.sleep(PASS_S * (3 if kind == "slow" else 1))
        if kind == "nan":
            boxes = boxes * np.float32(np.nan)
        if kind == "shape":
            boxes = np.ones((2, 7), np.float32)
        if kind == "worse":
            boxes = boxes[:, ::-1] + np.float32(500)
        scores = np.full(len(boxes), 0.5, np.float32)
        return Inference(Detections(np.ascontiguousarray(boxes), scores, np.zeros(len(boxes), np.int64)))

    def close(self) -> None:
        """Note it."""
        self.closed = True


def main() -> None:
    """Be the process that the first argument names, with these models in the place of real ones."""
    import edge.runtime.model
    import edge.runtime.parity
    from edge.update import beside, check

    which, *sys.argv[1:] = sys.argv[1:]
    edge.runtime.model.Model = lambda pack, **_: BadModel(pack)  # type: ignore[assignment,misc]
    edge.runtime.parity.check = _parity
    {"check": check.main, "beside": beside.main}[which]()


def _parity(model: Any) -> Any:
    """Run the model once, and compare as much as its shape."""
    found = model.infer(np.zeros((8, 8, 3), np.uint8)).detections
    ok = found.boxes.shape[1:] == (4,) and bool(np.isfinite(found.boxes).all())
    return SimpleNamespace(ok=ok, detail="as it was made" if ok else "boxes is not what it was")


if __name__ == "__main__":
    main()
