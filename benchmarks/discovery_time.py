"""A person's time for discovery: a budget spent in rounds on tags and questions, against drawing boxes.

    tags of all images -> heads -> boxes on the images that are asked for, yes or no, clicks -> heads -> ... -> targets

A budget is a share of the time that drawing every box takes: ``mixed25`` spends a quarter
of it on tags and then on questions of all kinds, ``drawn25`` on the boxes of images taken by chance. Times are those of
`central.annotate.asking.Costs`. Answers come from the truth; clicks miss the middle as people do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from central.annotate.asking import Costs
from central.learn.discover.active.ask import Query, queries
from central.learn.discover.active.simulate import chosen, detected
from central.learn.discover.evaluate import Truth
from central.learn.discover.fit import Drawn, Judged, Lessons, certain
from central.learn.discover.heed import heeded
from central.learn.discover.hints import NONE, Hints, told
from edge.runtime.nms import overlaps

BUDGETS: Final = (10, 15, 20, 25, 33, 50)
"""Percent of the time that drawing every box takes."""
KINDS: Final = ("mixed", "drawn")
METHODS: Final = tuple(f"{kind}{share}" for kind in KINDS for share in BUDGETS)
WANTED: Final = 0.9
"""Share of the AP50 with all boxes whose time is told."""
MISSED: Final = 0.1
"""By which a click misses the middle, in sides of the object (one standard deviation)."""
RIGHT: Final = 0.5
"""IoU from which a person says yes to a box."""
SUREST: Final = 95
"""Percentile of the best scores of a class that stands for a sure box: scores of heads are no probabilities."""
ASKED: Final = ("confirm", "click")
"""Kinds that are asked one by one; boxes are drawn by image."""
COST: Final = Costs()


def named(name: str) -> tuple[str, float] | None:
    """Return kind and budget (a share 0..1) of a method of this file; None of another one."""
    kind = next((k for k in KINDS if name.startswith(k) and name[len(k) :].isdigit()), None)
    return None if kind is None else (kind, int(name[len(kind) :]) / 100)


@dataclass
class Person:
    """Answers from the truth, and counts the seconds."""

    truth: Sequence[Truth]
    random: np.random.Generator
    spent: float = 0.0
    drawn: dict[int, Drawn] = field(default_factory=dict)
    hints: dict[int, Hints] = field(default_factory=dict)
    asked: set[tuple[int, int, str]] = field(default_factory=set)

    def whole(self) -> float:
        """Return the seconds that drawing every box takes."""
        return sum(self.image(place) for place in range(len(self.truth)))

    def image(self, place: int) -> float:
        """Return the seconds that drawing all boxes of an image takes."""
        return COST.look + COST.box * len(self.truth[place].boxes)

    def draw(self, places: Sequence[int], until: float) -> None:
        """Draw all boxes of `places`, one after another, as long as there is time."""
        for place in places:
            if self.spent + self.image(place) > until:
                break
            own = self.truth[place]
            self.drawn[place] = Drawn(own.boxes, own.classes, np.ones(len(own.boxes), np.float32))
            self.spent += self.image(place)

    def tag(self, labels: Any, until: float) -> Any:
        """Return `labels` ``[I, C]`` as far as there is time to tell the tags; the rest is unknown."""
        found = np.zeros_like(labels)
        for place in self.random.permutation(len(labels)):
            seconds = COST.look + COST.tag * int((labels[place] > 0).sum())
            if self.spent + seconds > until:
                break
            found[place] = labels[place]
            self.spent += seconds
        return found

    def answer(self, place: int, query: Query, judged: Judged) -> None:
        """Answer a question about an image: yes or no to the best box of a class, or a click on its largest object."""
        own, label = self.hints.get(place, NONE), query.label
        true = self.truth[place].boxes[self.truth[place].classes == label]
        self.asked.add((place, label, query.kind))
        if query.kind == "click":
            box = true[(true[:, 2:] - true[:, :2]).prod(1).argmax()]
            middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
            x, y = np.clip(middle + self.random.normal(0, MISSED, 2) * size, box[:2], box[2:]).tolist()
            self.hints[place] = own.more("clicks", (label, (x, y)))
        else:
            best = judged.boxes[judged.scores[:, label].argmax()]
            good = bool(overlaps(best[None], true).max(initial=0.0) >= RIGHT)
            if good:
                self.asked |= {(place, label, kind) for kind in ASKED}
            x1, y1, x2, y2 = best.tolist()
            self.hints[place] = own.more("right" if good else "wrong", (label, (x1, y1, x2, y2)))


def wanted(person: Person, judged: Sequence[Judged], labels: Any) -> list[tuple[float, int, list[Query]]]:
    """Return by image what to ask: one question per class that is present, the most gained per second first."""
    best = [j.scores.max(0) if len(j.scores) else np.zeros(labels.shape[1]) for j in judged]
    top = np.maximum(np.percentile(np.stack(best), SUREST, axis=0), 1e-6)
    found = []
    for place, scores in enumerate(best):
        if place in person.drawn or not len(judged[place].scores):
            continue
        present = frozenset(int(c) for c in np.flatnonzero(labels[place] > 0))
        sure = {c: (0, float(min(1.0, scores[c] / top[c]))) for c in present}
        left: dict[int, Query] = {}
        for query in queries(sure, present, COST):
            if query.kind in ASKED and (place, query.label, query.kind) not in person.asked:
                left.setdefault(query.label, query)
        if left:
            seconds = COST.look + sum(q.seconds for q in left.values())
            found.append((sum(q.gain for q in left.values()) / seconds, place, list(left.values())))
    return sorted(found, key=lambda row: -row[0])


def ask(person: Person, judged: Sequence[Judged], labels: Any, until: float) -> None:
    """Ask single questions as long as there is time."""
    for _, place, own in wanted(person, judged, labels):
        if person.spent + COST.look + sum(q.seconds for q in own) > until:
            break
        person.spent += COST.look + sum(q.seconds for q in own)
        for query in own:
            person.answer(place, query, judged[place])


def mixed(bench: Any, person: Person, budget: float, seed: int) -> tuple[Any, Any, list[Judged]]:
    """Spend `budget` seconds in rounds. Return the known labels, the heads, and what they say of the images."""
    labels, options = person.tag(bench.labels, budget), bench.options
    step = max(0.0, budget - person.spent) / options.rounds

    def taught() -> tuple[Any, list[Judged]]:
        known = told(labels, person.hints)
        heads = bench.fit(seed, Lessons(known, certain(known), dict(person.drawn), dict(person.hints)))
        return heads, [heeded(j, person.hints.get(p, NONE)) for p, j in enumerate(bench.judged(heads))]

    heads, judged = taught()
    for number in range(options.rounds if step > 0 else 0):
        end = budget - step * (options.rounds - number - 1)
        seen = {
            p: detected(j, _features(bench, p, j), labels[p])
            for p, j in enumerate(judged) if p not in person.drawn
        }  # fmt: skip
        boxed = person.spent + options.boxed * (end - person.spent)
        count = max(1, round(len(judged) * (boxed - person.spent) / max(1.0, person.whole())) + 8)
        person.draw(chosen("ours", seen, judged, labels, min(count, len(seen)), person.random), boxed)
        ask(person, judged, labels, end)
        heads, judged = taught()
    return told(labels, person.hints), heads, judged


def _features(bench: Any, place: int, judged: Judged) -> Any:
    """Return the features of the boxes of an image; confirmed ones, which were added, have those of nothing."""
    own = bench.bags[place].features.numpy()
    return np.concatenate([own, np.zeros((len(judged.boxes) - len(own), own.shape[1]), np.float32)])


def told_at(points: Sequence[tuple[float, float]], share: float = WANTED) -> float | None:
    """Return the hours at which a curve of (hours, share) first reaches `share`, between its points; None if never."""
    before: tuple[float, float] | None = None
    for hours, reached in sorted(points):
        if reached >= share:
            if before is None or before[1] >= reached:
                return hours
            return before[0] + (hours - before[0]) * (share - before[1]) / (reached - before[1])
        before = (hours, reached)
    return None


def curves(parts: Mapping[str, Mapping[str, float]], rows: Mapping[str, Any]) -> dict[str, Any]:
    """Return for each kind the points (hours, share of the AP50 with all boxes, 0..1) and the hours at WANTED.

    `share_of_full` is that of the hours of drawing every box (goal for ``mixed``: a third).
    """
    found: dict[str, Any] = {}
    for kind in KINDS:
        points, full = [], 0.0
        for name, row in rows.items():
            own = [p for key, p in parts.items() if key.partition("/")[0] == name and "hours" in p]
            if name.startswith(kind) and named(name) and own and "ap50_share" in row:
                full = own[0]["full_hours"]
                points.append((float(np.mean([p["hours"] for p in own])), row["ap50_share"]["mean"] / 100))
        if points:
            hours = told_at(points)
            share = None if hours is None else hours / full
            found[kind] = {"points": sorted(points), "hours": hours, "full_hours": full, "share_of_full": share}
    return found
