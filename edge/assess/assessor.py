"""All scores of one camera, run in order on every frame.

Where several kinds fill one field, they are asked in the order of their names and the first that answers counts:
`blur` (learned) before `sharpness` (classical).
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from edge.assess import SCORES, Learner, Score, ScoreKind, kinds
from edge.runtime import Inference
from edge.sources import Frame
from protocols.messages import MAX_TEXT, Assessment


class Assessor:
    """Assesses the frames of one camera. `seconds` sums the time of each field, for benchmarks and metrics."""

    def __init__(self, members: Iterable[ScoreKind] | None = None) -> None:
        chosen = sorted(kinds().values() if members is None else members, key=lambda kind: kind.name)
        self._scores: list[tuple[str, list[Score]]] = [
            (field, [kind.create() for kind in chosen if kind.field == field]) for field in SCORES
        ]
        self.seconds = dict.fromkeys(SCORES, 0.0)

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Assessment:
        """Return the assessment of `frame`. Call once per frame, in order."""
        values: dict[str, float | None] = {}
        reasons: dict[str, str] = {}
        for field, scores in self._scores:
            start = time.perf_counter()
            for score in scores:
                verdict = score.assess(frame, inference, labels)
                if verdict is not None:
                    values[field] = verdict.value
                    if verdict.reason:
                        reasons[field] = verdict.reason[:MAX_TEXT]
                    break
            self.seconds[field] += time.perf_counter() - start
        return Assessment(
            blur=values.get("blur"),
            uncertainty=values.get("uncertainty"),
            inconsistency=values.get("inconsistency"),
            unexplained_motion=values.get("unexplained_motion"),
            novelty=values.get("novelty"),
            redundancy=values.get("redundancy"),
            reasons=reasons,
        )

    def selected(self, inference: Inference) -> None:
        """Tell the scores that learn from selections that the frame just assessed was kept."""
        for _, scores in self._scores:
            for score in scores:
                if isinstance(score, Learner):
                    score.selected(inference)
