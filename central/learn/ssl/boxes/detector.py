"""What a pack's detector finds, whatever it takes it for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.learn.data import Pixels
from central.learn.ssl.boxes import Found, MaterialError, Report, Wish
from central.learn.ssl.material import Stock
from edge.runtime import RuntimeFault, packs
from edge.runtime.model import Model
from edge.runtime.nms import suppress
from protocols.pack import PackError

THRESHOLD: Final = 0.2
SAME: Final = 0.6
"""IoU from which two boxes, of whatever classes, are of one thing."""
MOST: Final = 50


def seen(model: Model, image: Pixels) -> NDArray[np.float32]:
    """Return the boxes ``[N, 4]`` (shares 0..1) that `model` finds on BGR `image`, of whatever class."""
    detections = model.infer(image, threshold=THRESHOLD).detections
    size = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
    kept = suppress(detections.boxes, detections.scores, np.zeros(len(detections.scores), np.int64), SAME, MOST)
    return np.asarray((detections.boxes[kept] / size).clip(0, 1), np.float32)


class Detector:
    """The member."""

    name = "detector"
    certain = True

    def find(self, stock: Stock, frames: Sequence[int], wish: Wish, report: Report) -> Found:
        """Return the boxes of the wanted pack with a score of THRESHOLD and more, the best first."""
        found: Found = {}
        try:
            with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
                pack = packs.find(wish.pack, Path(scratch))
                with Model(pack, "cpu") as model:
                    for done, frame in enumerate(frames):
                        image = stock.read(frame)
                        if image is not None:
                            found[frame] = seen(model, image)
                        report(done)
        except (PackError, RuntimeFault) as error:
            raise MaterialError(f"{wish.pack}: {error}") from None
        return found


BOXES = Detector()
