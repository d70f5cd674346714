"""How far two people agree who answered the same frames without seeing each other's answer.

Tags: Cohen's kappa (Educational and Psychological Measurement, 1960) over the frames of which both said present or
absent. Boxes: one object where they overlap by half, then the harmonic mean of both shares of common objects (F1), the
mean overlap of those, and kappa of whether a frame has the class at all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.boxes import LabelBox
from central.annotate.second import boxes_of
from central.annotate.verdicts import pair
from central.store.models import LabelRevision, Opinion

MOST: Final = 5000
"""Newest frames with two answers that are compared."""


@dataclass(frozen=True)
class Both:
    """Two people's answers about one frame, in order of their names."""

    people: tuple[str, str]
    boxes: tuple[Sequence[LabelBox], Sequence[LabelBox]]
    tags: tuple[Mapping[str, str], Mapping[str, str]]


@dataclass
class Agreement:
    """Of two people and one tag or class. `both`, `first`, `second` count objects that both or only one of them saw."""

    people: tuple[str, str]
    kind: Literal["tag", "box"]
    name: str
    ratings: list[tuple[Hashable, Hashable]] = field(default_factory=list)
    both: int = 0
    first: int = 0
    second: int = 0
    overlap: float = 0.0

    @property
    def kappa(self) -> float | None:
        """Agreement beyond chance, -1..1."""
        return kappa(self.ratings)

    @property
    def f1(self) -> float | None:
        """Of boxes, 0..1; None where nobody saw one."""
        seen = 2 * self.both + self.first + self.second
        return 2 * self.both / seen if self.kind == "box" and seen else None

    @property
    def mean_iou(self) -> float | None:
        """Of the objects that both saw."""
        return self.overlap / self.both if self.both else None


def kappa(ratings: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Return Cohen's kappa of pairs of ratings; None where there are none, or where chance alone explains all."""
    count = len(ratings)
    if not count:
        return None
    observed = sum(a == b for a, b in ratings) / count
    one, other = Counter(a for a, _ in ratings), Counter(b for _, b in ratings)
    by_chance = sum(one[name] * other[name] for name in one) / count**2
    return None if by_chance == 1.0 else (observed - by_chance) / (1.0 - by_chance)


def compare(answers: Iterable[Both]) -> list[Agreement]:
    """Return the agreement of each two people, tag and class, in order of their names."""
    found: dict[tuple[tuple[str, str], str, str], Agreement] = {}

    def of(people: tuple[str, str], kind: Literal["tag", "box"], name: str) -> Agreement:
        return found.setdefault((people, kind, name), Agreement(people, kind, name))

    by_people: dict[tuple[str, str], list[Both]] = defaultdict(list)
    for one in answers:
        by_people[one.people].append(one)
    for people, frames in by_people.items():
        classes = {b.label for f in frames for side in f.boxes for b in side}
        for frame in frames:
            for name in frame.tags[0].keys() & frame.tags[1].keys():
                of(people, "tag", name).ratings.append((frame.tags[0][name], frame.tags[1][name]))
            for name in classes:
                _add(of(people, "box", name), *([b for b in side if b.label == name] for side in frame.boxes))
    return [found[key] for key in sorted(found)]


def _add(agreement: Agreement, one: Sequence[LabelBox], other: Sequence[LabelBox]) -> None:
    common = pair(one, other)
    agreement.ratings.append((bool(one), bool(other)))
    agreement.both += len(common)
    agreement.first += len(one) - len(common)
    agreement.second += len(other) - len(common)
    agreement.overlap += sum(overlap for _, _, overlap in common)


async def answers(session: AsyncSession) -> list[Both]:
    """Return the newest frames with two answers."""
    query = (
        select(LabelRevision, Opinion)
        .join(Opinion, (Opinion.frame == LabelRevision.frame) & (Opinion.revision == LabelRevision.revision))
        .order_by(Opinion.at.desc())
        .limit(MOST)
    )
    found = []
    for first, second in await session.execute(query):
        one: LabelRevision | Opinion = first
        other: LabelRevision | Opinion = second
        if other.author < one.author:
            one, other = other, one
        boxes = (boxes_of(one.boxes), boxes_of(other.boxes))
        found.append(Both((one.author, other.author), boxes, (one.tags or {}, other.tags or {})))
    return found
