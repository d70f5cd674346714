"""What a blur score costs: the expected loss of AP50, measured on a site's own labelled frames.

    frames -> blurred by every kind and strength -> AP50 at each, over AP50 of the sharp ones -> loss, percent
           -> blur score of every frame at each  -> isotonic fit of loss by score -> `protocols.blur.Curve`

So a threshold has a meaning that does not depend on the scale of the score, nor on who trained it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression  # type: ignore[import-untyped,unused-ignore]

from central.learn.blur.degrade import Picture, blurred
from central.learn.detect.coco import Coco, DatasetError
from central.learn.detect.evaluate import evaluate
from edge.runtime import Inference
from edge.runtime.model import Model
from edge.runtime.sharpness.learned import TileModel
from protocols.blur import BlurTable, Curve

KINDS: Final = ("defocus", "motion")
STRENGTHS: Final = (0.0, 0.002, 0.004, 0.008, 0.016)
"""Standard deviations over the longer side of the frame: 0 to 20 pixels at 1280."""
POINTS: Final = 32
"""Of a curve."""
LEAST: Final = 0.01
"""AP50 of the sharp frames from which a share of it can be measured."""


@dataclass
class _Blurring:
    """A model that sees every frame blurred, and notes the blur scores of what it saw. Implements `Predictor`."""

    model: Model
    tiles: TileModel | None
    kind: str
    strength: float

    def __post_init__(self) -> None:
        self.labels = self.model.labels
        self.random = np.random.default_rng(0)
        self.dense: list[float] = []
        self.tiled: list[float] = []

    def infer(self, image: Picture, threshold: float | None = None, every_class: bool = False) -> Inference:
        """Return what is in the blurred `image`."""
        seen = blurred(image, self.kind, self.strength * max(image.shape[:2]), self.random)
        found = self.model.infer(seen, threshold, every_class=every_class)
        if found.blur_map is not None and found.blur_map.size:
            self.dense.append(float(found.blur_map.mean()))
        if self.tiles is not None:
            self.tiled.append(self.tiles.see(seen).blur)
        return found


def fitted(score: NDArray[np.float64], lost: NDArray[np.float64]) -> Curve:
    """Return the isotonic fit of `lost` ``[N]`` by `score` ``[N]``, thinned to POINTS. Raises ValueError without."""
    if not len(score):
        raise ValueError("there is no score to fit a curve to")
    order = np.argsort(score, kind="stable")
    rising = isotonic_regression(lost[order]).x
    sorted_scores = score[order]
    chosen = np.unique(np.linspace(0, len(order) - 1, POINTS).astype(int))
    points: dict[float, float] = {round(float(sorted_scores[i]), 5): round(float(rising[i]), 2) for i in chosen}
    return Curve(score=list(points), lost=list(points.values()))


def levels() -> Iterator[tuple[str, float]]:
    """Yield every kind and strength that is measured, the sharp frames first."""
    for kind in KINDS:
        for strength in STRENGTHS:
            if strength or kind == KINDS[0]:
                yield kind, strength


def measure(
    model: Model, tiles: TileModel | None, images: Path, truth: Coco,
    report: Callable[[int], None] = lambda done: None,
) -> tuple[BlurTable, list[dict[str, float | str]]]:  # fmt: skip
    """Return the calibration of `model` and `tiles` on labelled frames, and AP50 by kind and strength.

    Raises DatasetError where the model finds so little in the sharp frames that no share of it can be measured."""
    scores: dict[str, list[float]] = {"dense": [], "tiles": []}
    losses: dict[str, list[float]] = {"dense": [], "tiles": []}
    rows: list[dict[str, float | str]] = []
    whole = 0.0
    for done, (kind, strength) in enumerate(levels(), 1):
        seer = _Blurring(model, tiles, kind, strength)
        ap50 = evaluate(seer, images, truth, resamples=1).ap50 or 0.0
        whole = whole or ap50
        if whole < LEAST:
            raise DatasetError(f"{images}: AP50 of the sharp frames is {whole:.3f}; nothing to lose. Label more frames")
        lost = 100 * max(0.0, 1 - ap50 / whole)
        for name, seen in (("dense", seer.dense), ("tiles", seer.tiled)):
            scores[name] += seen
            losses[name] += [lost] * len(seen)
        rows.append({"kind": kind, "strength": strength, "ap50": ap50, "lost": round(lost, 2)})
        report(done)
    curves = {n: fitted(np.array(s), np.array(losses[n])) for n, s in scores.items() if s}
    about = f"AP50 {whole:.3f} of the sharp frames; {', '.join(KINDS)} at {len(STRENGTHS) - 1} strengths"
    return BlurTable(dense=curves.get("dense"), tiles=curves.get("tiles"), images=len(truth.images), about=about), rows
