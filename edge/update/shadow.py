"""The new model on live frames, beside the old one, before it counts."""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.runtime import Inference, RuntimeFault
from edge.update import Host, Runner, UpdateError

FRAMES: Final = 5
TIMEOUT_S: Final = 10.0
"""Seconds to wait for live frames; a node whose cameras are all dark is updated without them."""


def healthy(inference: Inference) -> bool:
    """Whether every number in `inference` is finite."""
    found = inference.detections
    arrays = (
        found.boxes, found.scores, found.spread, found.blur,
        inference.class_scores, inference.blur_map, inference.embedding, inference.tags,
    )  # fmt: skip
    return all(a is None or bool(np.isfinite(a).all()) for a in arrays)


def shadow(host: Host, runner: Runner, frames: int = FRAMES, timeout: float = TIMEOUT_S) -> str:
    """Run `runner` on the next live frames of `host` and return what was seen. Raises UpdateError with the reason."""
    images = host.live_frames(frames, timeout)
    for image in images:
        try:
            inference = runner.infer(image)
        except RuntimeFault as error:
            raise UpdateError(f"shadowing: {error}") from None
        except Exception as error:  # noqa: BLE001
            # The boundary to a model that nobody here made: whatever it does, the old one keeps watching.
            raise UpdateError(f"shadowing: {type(error).__name__}: {error}") from None
        if not healthy(inference):
            raise UpdateError("shadowing: the model gave a number that is not finite")
    return f"{len(images)} live frames" if images else f"no camera gave a frame within {timeout:.0f} s"
