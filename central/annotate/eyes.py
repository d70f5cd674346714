"""A pack that looks several times: at the whole image and, where that is larger than its input, at parts at full size.

Each look is taken twice, once at the mirror image; what all of them saw is fused (`central.annotate.fusion`). A small
object that the whole image shows with a few pixels of the input has as many as the camera gave it in a part. Tags are
the mean over the looks at the whole image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from central.annotate.fusion import Look, fuse, placed, windows
from edge.runtime import Detections
from edge.runtime.model import Model

ZOOM: Final = 3.0
"""Most that a part is enlarged over the whole image: 16 parts, so 34 looks at most, whatever the size of the image."""
LEAST_ZOOM: Final = 1.3
"""Below it the input shows the image nearly as it is, and parts would show nothing new."""
LOWEST: Final = 0.03
"""Score from which a look counts: what one sees dimly, another one may see well."""


def native(width: int, height: int, model_width: int, model_height: int) -> float | None:
    """Return the zoom at which a part has the input's size, pixel by pixel; None where parts would show nothing new."""
    zoom = max(width / model_width, height / model_height)
    return min(zoom, ZOOM) if zoom >= LEAST_ZOOM else None


class Eyes:
    """An opened pack that looks several times, and remembers the tags of the last image."""

    def __init__(self, model: Model, parts: bool = True, least: float | None = None) -> None:
        """`parts`: also at parts at full size; `least`: score from which it reports, the pack's own where absent."""
        self._model, self._parts = model, parts
        self._least = model.pack.manifest.score_threshold if least is None else least
        self._tags: dict[str, float] = {}

    def see(self, image: NDArray[np.uint8]) -> Detections:
        """Return what it sees in a BGR `image` ``[H, W, 3]``, in its pixels, best first."""
        height, width = image.shape[:2]
        manifest = self._model.pack.manifest
        zoom = native(width, height, manifest.input.width, manifest.input.height) if self._parts else None
        looks: list[Look] = []
        tags: list[NDArray[np.float32]] = []
        for factor in (1.0,) if zoom is None else (1.0, zoom):
            for x, y, wide, high in windows(width, height, factor):
                part = image[y : y + high, x : x + wide]
                for mirrored in (False, True):
                    pixels = np.ascontiguousarray(part[:, ::-1] if mirrored else part)
                    seen = self._model.infer(pixels, LOWEST)
                    looks.append(placed(seen.detections, (x, y, wide, high), width, height, mirrored))
                    if factor == 1.0 and seen.tags is not None:
                        tags.append(np.asarray(seen.tags, np.float32))
        means = np.mean(tags, axis=0) if tags else np.zeros(0, np.float32)
        self._tags = {name: float(score) for name, score in zip(manifest.tags, means, strict=False)}
        found = fuse(looks)
        keep = found.scores >= self._least
        return Detections(found.boxes[keep], found.scores[keep], found.classes[keep])

    def tags(self) -> Mapping[str, float]:
        """Return the score 0..1 of each tag on the image last looked at."""
        return self._tags
