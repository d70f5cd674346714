"""Blur from the pack's own dense blur output. Comes before `sharpness`, which fills the field where there is none."""

from __future__ import annotations

import cv2

from edge.assess import Score, Verdict
from edge.runtime import Inference
from edge.sources import Frame

LOST = 30.0
"""Percent of AP50 above which the reason is worth a word, where the pack knows what blur costs."""
BLURRED = 0.75
"""Blur above which it is, where the pack does not."""


class Blur:
    """One camera's learned blur. Implements `Score`."""

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Verdict | None:
        """Return the mean blur over the frame, 0..1, or None where the pack gives none."""
        if inference.blur_map is None or not inference.blur_map.size:
            return None
        value = min(1.0, max(0.0, cv2.mean(inference.blur_map)[0]))
        if inference.lost is not None:
            lost = f"the picture is blurred: expect {inference.lost:.0f} % of AP50 to be lost"
            return Verdict(value, lost if inference.lost > LOST else "")
        return Verdict(value, f"the picture is blurred ({value:.2f} of 1)" if value > BLURRED else "")


class BlurKind:
    """Fills `blur` where the pack has a dense blur output."""

    name = "blur"
    field = "blur"

    def create(self) -> Score:
        """Return a fresh score."""
        return Blur()


SCORE = BlurKind()
