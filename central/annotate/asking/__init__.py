"""What to ask about a frame that waits, and in which order frames come: expected gain per second of a person's time.

    proposals, tags, pairs of a frame -> options -> the best Question      choose
    medians of measured seconds, or the literature's -> Costs              costs
    frames that wait -> a strategy of `central.learn.acquire` -> order     order (a job)
    an answer to a single question -> a partial label                      answer
    a click on an object -> the proposal that fits it                      click

A whole review is one of the questions; the others ask for less, cost less, and leave the frame in the queue with what
was answered kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from central.store.models import FrameQuestion, QuestionKind


@dataclass(frozen=True)
class Costs:
    """Seconds of a person's time, as the literature has them (verify 1.6 to 2 s, draw 25 to 35 s, tag 1 s).

    Each gives way to what was measured here, once enough answers of its kind were timed.
    """

    look: float = 3.0
    """To see what a frame shows."""
    confirm: float = 1.8
    """Yes or no to one box."""
    box: float = 26.0
    """To draw a box and name its class."""
    missing: float = 6.0
    """To look a frame through for what no box covers."""
    tag: float = 1.0
    pair: float = 3.0
    click: float = 2.5
    """To click the middle of an object (Papadopoulos et al., CVPR 2017: 1.9 s for the click, and finding it)."""


@dataclass(frozen=True)
class Question:
    """A question about a frame: `seconds` that it takes, `gain` mistakes that it mends, `boxes` as in the database."""

    kind: QuestionKind
    seconds: float
    gain: float
    reason: str
    labels: tuple[str, ...] = ()
    tag: str | None = None
    boxes: tuple[dict[str, Any], ...] = ()
    pair: int | None = None

    @property
    def rate(self) -> float:
        """Mistakes mended per second."""
        return self.gain / self.seconds

    @property
    def asked(self) -> dict[str, Any]:
        """What the question is about, as it is stored with its answer."""
        known = {"labels": list(self.labels), "tag": self.tag, "boxes": [dict(b) for b in self.boxes]}
        return {name: value for name, value in known.items() if value}

    def row(self, frame: str, strategy: str = "") -> FrameQuestion:
        """Return the row of the database for `frame`."""
        return FrameQuestion(
            frame=frame, kind=self.kind, labels=list(self.labels), tag=self.tag, boxes=[dict(b) for b in self.boxes],
            pair=self.pair, seconds=round(self.seconds, 2), gain=round(self.gain, 4), reason=self.reason,
            strategy=strategy,
        )  # fmt: skip
