"""Blur from the pack's own dense blur output. Comes before `sharpness`, which fills the field where there is none."""

from __future__ import annotations

import cv2

from edge.assess import Score, Verdict
from edge.runtime import Inference
from edge.sources import Frame

BLURRED = 0.75
"""Rank above which the reason is worth a word."""


class Blur:
    """One camera's learned blur. Implements `Score`."""

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return the mean blur rank over the frame, or None where the pack gives none."""
        if inference.blur_map is None or not inference.blur_map.size:
            return None
        value = cv2.mean(inference.blur_map)[0]
        return Verdict(value, f"the picture is blurred (rank {value:.2f})" if value > BLURRED else "")


class BlurKind:
    """Fills `blur` where the pack has a dense blur output."""

    name = "blur"
    field = "blur"

    def create(self) -> Score:
        """Return a fresh score."""
        return Blur()


SCORE = BlurKind()
