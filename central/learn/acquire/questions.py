"""What to ask about a frame, by what it costs and what it brings: a box, a tag, a yes, or "is anything missing?".

Costs are seconds of a person's time: drawing a box and naming its class, clicking one, saying yes or no, a tag (the
literature's values, as gathered by Papadopoulos et al. 2017 and Su et al. 2012, rounded).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from central.learn.acquire import Candidate

LOOK_S: Final = 3.0
"""To see what a frame shows."""
BOX_S: Final = 26.0
CONFIRM_S: Final = 1.8
TAG_S: Final = 1.0
PAIR_S: Final = 3.0
MISSING_S: Final = 6.0
"""To look a frame through for what no box covers."""
SURE: Final = 0.6
"""Score from which a proposal is mostly right, and a yes is enough."""
DOUBT: Final = 0.25
"""Score below which a proposal is mostly wrong, and a no is enough."""

Kind = Literal["boxes", "confirm", "missing", "tag", "pair"]


@dataclass(frozen=True)
class Question:
    """What to ask: its kind, what it costs in seconds, and the mistakes that the answer is expected to mend."""

    kind: Kind
    seconds: float
    mends: float
    why: str

    @property
    def rate(self) -> float:
        """Mistakes mended per second."""
        return self.mends / self.seconds


def seconds(candidate: Candidate) -> float:
    """Return what answering a frame whole is expected to take: a look, a yes or no per proposal, a box per miss."""
    best = candidate.best
    unsure = float(((best > DOUBT) & (best < SURE)).sum())
    return LOOK_S + CONFIRM_S * len(best) + BOX_S * (0.3 * unsure + expected_misses(candidate))


def expected_misses(candidate: Candidate) -> float:
    """Return how many objects the network is expected to have missed: what weak detections and motion speak for."""
    weak = candidate.best[candidate.best < DOUBT]
    return float(weak.sum()) + candidate.evidence.get("unexplained_motion", 0.0)


def questions(candidate: Candidate) -> list[Question]:
    """Return what can be asked about a frame, the most mended per second first."""
    best = candidate.best
    wrong = float(np.minimum(best, 1 - best).sum())
    doubted = best[(best > DOUBT) & (best < SURE)]
    alike = _alike(candidate)
    blurred = candidate.evidence.get("blur", 0.0)
    found = [
        Question("boxes", seconds(candidate), wrong + expected_misses(candidate), "answer the whole frame"),
        Question("missing", MISSING_S, expected_misses(candidate), "is anything missing here?"),
    ]
    if len(doubted):
        mends = float(np.minimum(doubted, 1 - doubted).sum())
        found.append(Question("confirm", LOOK_S + CONFIRM_S * len(doubted), mends, "yes or no to the doubtful boxes"))
    if alike:
        found.append(Question("tag", LOOK_S + TAG_S, alike, "which of two classes is here?"))
    if 0.3 < blurred < 0.7:
        found.append(Question("pair", PAIR_S, 0.2 * (1 - abs(2 * blurred - 1)), "which of two is sharper?"))
    return sorted(found, key=lambda q: -q.rate)


def _alike(candidate: Candidate) -> float:
    """Return how many detections have two classes that are nearly as probable."""
    if candidate.scores.shape[0] == 0 or candidate.scores.shape[1] < 2:
        return 0.0
    top = np.sort(candidate.scores, axis=1)[:, -2:]
    return float((top[:, 0] * (top[:, 1] - top[:, 0] < 0.15)).sum())
