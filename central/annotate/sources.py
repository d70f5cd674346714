"""How good each source of proposals is, from what people made of them, and what its scores are worth.

    verdicts -> counts per source, label and part of the score -> precision, and a rising curve from score to confidence

The curve is isotonic: parts of the score whose shares of right proposals fall are pooled until none does (pool adjacent
violators; Zadrozny and Elkan, KDD 2002). Right is a proposal whose label a person kept, moved or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Integer, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.store.models import Annotation, Outcome, Verdict

PARTS: Final = 10
"""Of the score 0..1, each with a count of its own."""
ENOUGH: Final = 20
"""Verdicts on one source and label from which its scores are translated."""
RECENT: Final = 200_000
"""Newest verdicts that count: a source gets better, and its past says ever less."""
RIGHT: Final[tuple[Outcome, ...]] = ("kept", "moved")


@dataclass
class Part:
    """Proposals whose score is in one part of 0..1: how many, and how many of them were right."""

    proposed: int = 0
    right: int = 0


@dataclass
class Source:
    """What became of the proposals of one source for one label."""

    source: str
    label: str
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    parts: list[Part] = field(default_factory=lambda: [Part() for _ in range(PARTS)])

    @property
    def proposed(self) -> int:
        """How many proposals a person judged."""
        return sum(self.outcomes.values())

    @property
    def precision(self) -> float | None:
        """Share of them that were right; None where nobody judged one."""
        right = sum(self.outcomes.get(name, 0) for name in RIGHT)
        return right / self.proposed if self.proposed else None

    def curve(self) -> list[float] | None:
        """Return the confidence in the middle of each part of the score, rising; None where too few were judged."""
        scored = sum(part.proposed for part in self.parts)
        if scored < ENOUGH:
            return None
        mean = sum(part.right for part in self.parts) / scored
        return pooled([(part.right + mean, part.proposed + 1.0) for part in self.parts])


def pooled(parts: Sequence[tuple[float, float]]) -> list[float]:
    """Return for each of `parts` (right, all; all above 0) its share of right ones, made to rise by pooling."""
    blocks: list[tuple[float, float, int]] = []
    for right, weight in parts:
        blocks.append((right, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            one, other = blocks.pop(), blocks.pop()
            blocks.append((one[0] + other[0], one[1] + other[1], one[2] + other[2]))
    return [min(1.0, right / weight) for right, weight, count in blocks for _ in range(count)]


def confidence(curve: Sequence[float], score: float) -> float:
    """Return what `score` 0..1 is worth by `curve`, straight between the middles of its parts."""
    place = min(max(score * len(curve) - 0.5, 0.0), len(curve) - 1.0)
    low = min(int(place), len(curve) - 2)
    return curve[low] + (curve[low + 1] - curve[low]) * (place - low)


Curves = Mapping[tuple[str, str], Sequence[float]]
"""By source and label."""


def calibrate(rows: Sequence[Annotation], curves: Curves) -> None:
    """Give each proposal of `rows` its confidence, where its source and label have a curve."""
    for row in rows:
        row.confidence = worth(curves, row.source, row.label, row.score)


def worth(curves: Curves, source: str, label: str, score: float | None) -> float | None:
    """Return the confidence of a proposal with `score`; None where its source and label have no curve."""
    curve = curves.get((source, label))
    return None if curve is None or score is None else confidence(curve, score)


async def tally(session: AsyncSession, source: str | None = None) -> list[Source]:
    """Return what people made of the newest proposals, by source and label; of one `source` only where it is named."""
    newest = await session.scalar(select(func.max(Verdict.id))) or 0
    part = cast(Verdict.score * PARTS, Integer)
    query = (
        select(Verdict.source, Verdict.label, Verdict.outcome, part, func.count())
        .where(Verdict.id > newest - RECENT)
        .group_by(Verdict.source, Verdict.label, Verdict.outcome, part)
    )
    if source is not None:
        query = query.where(Verdict.source == source)
    found: dict[tuple[str, str], Source] = {}
    for name, label, outcome, place, count in await session.execute(query):
        one = found.setdefault((name, label), Source(name, label))
        one.outcomes[outcome] += count
        if place is not None:
            own = one.parts[min(PARTS - 1, max(0, place))]
            own.proposed, own.right = own.proposed + count, own.right + count * (outcome in RIGHT)
    return [found[key] for key in sorted(found)]


async def curves(session: AsyncSession, source: str | None = None) -> Curves:
    """Return the curve of every source (or of one) and label that has enough verdicts."""
    known = {(one.source, one.label): one.curve() for one in await tally(session, source)}
    return {key: curve for key, curve in known.items() if curve is not None}
