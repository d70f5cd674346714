"""What answers cost, measured: the median of what people took, per kind, once there are enough of them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import replace
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.asking import Costs
from central.store.models import Annotation, LabelRevision, PairLabel, QuestionAnswer

ENOUGH: Final = 20
"""Timed answers of a kind from which they count."""
RECENT: Final = 500
"""Newest answers of a kind that count: people get quicker."""
IDLE_S: Final = 600.0
"""Seconds from which somebody was elsewhere, and the answer tells nothing of its cost."""
SHORTEST: Final = 0.2
"""Seconds that any part of an answer takes at least."""


async def _medians(session: AsyncSession) -> dict[str, float]:
    """Return the median seconds of each kind of single question that was answered often enough."""
    found: dict[str, float] = {}
    for kind in ("box", "missing", "tag", "click"):
        query = select(QuestionAnswer.seconds).where(
            QuestionAnswer.kind == kind, QuestionAnswer.seconds > 0, QuestionAnswer.seconds < IDLE_S
        )
        times = [float(s or 0) for s in await session.scalars(query.order_by(QuestionAnswer.id.desc()).limit(RECENT))]
        if len(times) >= ENOUGH:
            found[kind] = statistics.median(times)
    pairs = select(PairLabel.seconds).where(PairLabel.seconds > 0, PairLabel.seconds < IDLE_S)
    times = [float(s or 0) for s in await session.scalars(pairs.order_by(PairLabel.at.desc()).limit(RECENT))]
    if len(times) >= ENOUGH:
        found["pair"] = statistics.median(times)
    return found


async def _drawing(session: AsyncSession, costs: Costs) -> float | None:
    """Return the seconds of a drawn box, as whole reviews took them; None where too few were timed."""
    query = select(LabelRevision.frame, LabelRevision.revision, LabelRevision.seconds).where(
        LabelRevision.state == "labelled", LabelRevision.seconds > 0, LabelRevision.seconds < IDLE_S
    )
    rows = (await session.execute(query.order_by(LabelRevision.at.desc()).limit(RECENT))).all()
    if len(rows) < ENOUGH:
        return None
    drawn: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    counts = (
        select(Annotation.frame, Annotation.revision, Annotation.origin.is_(None), func.count())
        .where(Annotation.frame.in_([row[0] for row in rows]), Annotation.confirmed)
        .group_by(Annotation.frame, Annotation.revision, Annotation.origin.is_(None))
    )
    for frame, revision, alone, count in await session.execute(counts):
        drawn[(frame, revision)][0 if alone else 1] += count
    per_box = []
    for frame, revision, seconds in rows:
        own, kept = drawn[(frame, revision)]
        if own:
            rest = float(seconds or 0) - costs.look - costs.missing - costs.confirm * kept
            per_box.append(max(SHORTEST, rest / own))
    return statistics.median(per_box) if len(per_box) >= ENOUGH else None


async def measured(session: AsyncSession, stated: Costs | None = None) -> Costs:
    """Return what answers cost here; what too few answers tell of is as `stated`.

    A single question holds a look at its frame, which is taken off it.
    """
    known = stated or Costs()
    medians = await _medians(session)

    def alone(kind: str, otherwise: float) -> float:
        return max(SHORTEST, medians[kind] - known.look) if kind in medians else otherwise

    costs = Costs(
        known.look, alone("box", known.confirm), known.box, alone("missing", known.missing), alone("tag", known.tag),
        medians.get("pair", known.pair), alone("click", known.click),
    )  # fmt: skip
    box = await _drawing(session, costs)
    return costs if box is None else replace(costs, box=box)
