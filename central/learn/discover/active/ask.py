"""Which question about an image is worth most per second: yes or no, a click, a box, or "is something missing?".

A proposal of probability p is wrong in place or class with 1 - p. A yes settles it as it is; a click at the middle of
an object rules out every box that is elsewhere, and says nothing of its size; a drawn box settles it for good. What is
expected to be mended, over what it costs (`central.annotate.asking.Costs`), is the rate that questions compete by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from central.annotate.asking import Costs
from central.annotate.asking.click import CLICK_WORTH

NO_WORTH: Final = 0.3
"""Of a refused box, in boxes: it is one mistake less, and the object is still to be found."""
MISSING: Final = 0.3
"""Best score of a present class below which nothing stands for it."""

Kind = Literal["confirm", "click", "box", "missing"]


@dataclass(frozen=True)
class Query:
    """A question: about the box at `place` of the image's (None: about the class as a whole)."""

    kind: Kind
    label: int
    place: int | None
    seconds: float
    gain: float

    @property
    def rate(self) -> float:
        """Expected mistakes mended per second."""
        return self.gain / self.seconds


def queries(best: dict[int, tuple[int, float]], present: frozenset[int], costs: Costs | None = None) -> list[Query]:
    """Return what can be asked about an image, the most gained per second first.

    `best` are, by class, the place of its best box and how probably that is right (0..1); `present` the classes that
    the image is known to have. A class without a box of MISSING is asked for by a click or a box.
    """
    cost = costs or Costs()
    found = []
    for label in sorted(present):
        place, p = best.get(label, (None, 0.0))
        wrong = 1.0 - p
        if place is not None and p >= MISSING:
            gain = min(p, wrong) + NO_WORTH * wrong * p
            found.append(Query("confirm", label, place, cost.confirm, gain))
        else:
            found.append(Query("missing", label, None, cost.missing, wrong * NO_WORTH))
        found.append(Query("click", label, place, cost.click, CLICK_WORTH * wrong))
        found.append(Query("box", label, place, cost.box, wrong))
    return sorted(found, key=lambda q: -q.rate)


def image_rate(asked: list[Query], costs: Costs | None = None) -> float:
    """Return the expected gain per second of looking at an image and answering its best question."""
    if not asked:
        return 0.0
    cost = costs or Costs()
    return asked[0].gain / (cost.look + asked[0].seconds)
