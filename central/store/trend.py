"""How the scores of cameras went: kept by slots from health messages, given back in as many points as are asked for.

    health message -> slot of its camera (sum and count) -> trends of all cameras, or one camera's line

A slot is ten minutes, about twenty messages; what is older than `KEPT` goes when its camera begins a new slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from central.store.models import Camera, CameraScores

SLOT: Final = timedelta(minutes=10)
KEPT: Final = timedelta(days=8)
"""A week, and the day before it to compare with: 1200 rows of a camera, 100 bytes each."""

Line = list[float | None]
"""Means of equal parts of a time, oldest first; None where nothing was said."""


@dataclass
class Trend:
    """One camera's lines, each with as many points as were asked for."""

    node: str
    camera: str
    blur: Line = field(default_factory=list)
    uncertainty: Line = field(default_factory=list)


def slot_of(at: datetime) -> datetime:
    """Return the begin of the slot that `at` is in, UTC."""
    seconds = int(SLOT.total_seconds())
    return datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, UTC)


async def note(
    session: AsyncSession, camera: Camera, blur: float | None, uncertainty: float | None, now: datetime
) -> None:
    """Add what a health message said of `camera` at `now`."""
    if blur is None and uncertainty is None:
        return
    at = slot_of(now)
    row = await session.get(CameraScores, (camera.node, camera.name, at))
    if row is None:
        await session.flush()
        mine = (CameraScores.node == camera.node, CameraScores.camera == camera.name)
        await session.execute(delete(CameraScores).where(*mine, CameraScores.at < at - KEPT))
        row = CameraScores(
            node=camera.node, camera=camera.name, at=at,
            blur_sum=0.0, blur_count=0, uncertainty_sum=0.0, uncertainty_count=0,
        )  # fmt: skip
        session.add(row)
    if blur is not None:
        row.blur_sum, row.blur_count = row.blur_sum + blur, row.blur_count + 1
    if uncertainty is not None:
        row.uncertainty_sum, row.uncertainty_count = row.uncertainty_sum + uncertainty, row.uncertainty_count + 1


@dataclass
class _Part:
    """Sums of one point."""

    blur: float = 0.0
    blurs: int = 0
    uncertainty: float = 0.0
    uncertainties: int = 0

    def add(self, row: CameraScores) -> None:
        self.blur, self.blurs = self.blur + row.blur_sum, self.blurs + row.blur_count
        self.uncertainty += row.uncertainty_sum
        self.uncertainties += row.uncertainty_count


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None


def _trend(node: str, camera: str, rows: Sequence[CameraScores], start: datetime, step: timedelta, n: int) -> Trend:
    parts = [_Part() for _ in range(n)]
    for row in rows:
        parts[max(0, min(n - 1, int((row.at - start) / step)))].add(row)
    return Trend(
        node,
        camera,
        [_mean(part.blur, part.blurs) for part in parts],
        [_mean(part.uncertainty, part.uncertainties) for part in parts],
    )


def trends(
    session: Session, start: datetime, end: datetime, points: int, only: tuple[str, str] | None = None
) -> list[Trend]:
    """Return the lines from `start` to `end` of every camera, or of `only` (node, camera), that said anything."""
    query = select(CameraScores).where(CameraScores.at >= slot_of(start), CameraScores.at < end)
    if only is not None:
        query = query.where(CameraScores.node == only[0], CameraScores.camera == only[1])
    found: dict[tuple[str, str], list[CameraScores]] = {}
    for row in session.scalars(query.order_by(CameraScores.node, CameraScores.camera)):
        found.setdefault((row.node, row.camera), []).append(row)
    step = (end - start) / points
    return [_trend(node, camera, rows, start, step, points) for (node, camera), rows in found.items()]
