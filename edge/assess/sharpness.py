"""Blur where the pack has no blur output: detail at native resolution (see `edge.runtime.sharpness.detail`)."""

from __future__ import annotations

from typing import Final

from edge.assess import Score, Verdict
from edge.runtime import Inference
from edge.runtime.sharpness.detail import sharpness
from edge.sources import Frame

WINDOW_LIVE: Final = 384 * 288
"""Pixels of every frame that are looked at; on a camera, time counts."""
BLURRED: Final = 0.75
"""Above this the reason is worth a word."""


class Sharpness:
    """One camera's classical blur. Implements `Score`."""

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return one minus the sharpness of the whole frame."""
        blur = 1.0 - sharpness(frame.image, WINDOW_LIVE)
        return Verdict(blur, f"the picture is blurred ({blur:.2f} of 1)" if blur > BLURRED else "")


class SharpnessKind:
    """Fills `blur` where the pack has no dense blur output."""

    name = "sharpness"
    field = "blur"

    def create(self) -> Score:
        """Return a fresh score."""
        return Sharpness()


SCORE = SharpnessKind()
