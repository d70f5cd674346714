"""How cameras change: every look at them, and where each one stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from sqlalchemy import Select, select

from central.api import schemas as s
from central.api.access import Viewer
from central.api.context import CentreDep
from central.api.errors import ApiError, documented
from central.learn import drift
from central.store.models import CameraBoost, DriftLook
from protocols.messages import IDENTITY, utc_now

router = APIRouter(prefix="/drift", tags=["drift"])
MOST_LOOKS: Final = 5000
"""Looks of one answer, the newest: half a year of seven cameras that are looked at four times a day."""
STANDING: Final = timedelta(days=30)
"""How far back it is looked for where a camera stands, and since when."""
WEEK: Final = timedelta(days=7)
START: Final = datetime.min.replace(tzinfo=UTC)
Name = Annotated[str | None, Query(pattern=IDENTITY)]


def _measures(row: DriftLook) -> list[s.DriftMeasureView]:
    about = {name: measure.about for name, measure in drift.known().items()}
    return [s.DriftMeasureView(name=name, about=about.get(name, ""), **found) for name, found in row.measures.items()]


def view(row: DriftLook) -> s.DriftLookView:
    """Return `row` as it is shown."""
    own = {"measures": _measures(row), "strength": drift.strength(row.measures)}
    plain = {name: getattr(row, name) for name in s.DriftLookView.model_fields if name not in own}
    return s.DriftLookView.model_validate({**plain, **own})


def _standing(looks: Sequence[DriftLook], boost: CameraBoost | None, now: datetime) -> s.DriftCameraView:
    """Return where one camera stands after `looks`, oldest first."""
    last = looks[-1]
    since = last.at
    for row in reversed(looks):
        if row.verdict != last.verdict:
            break
        since = row.at
    shown = None
    if boost is not None and boost.until > now:
        shown = s.BoostView(factor=boost.factor, since=boost.since, until=boost.until, reason=boost.reason)
    return s.DriftCameraView(
        node=last.node, camera=last.camera, verdict=last.verdict, reason=last.reason,  # type: ignore[arg-type]
        at=last.at, since=since, boost=shown,
    )  # fmt: skip


def _of(node: str | None, camera: str | None) -> Select[DriftLook]:
    query = select(DriftLook)
    if node is not None:
        query = query.where(DriftLook.node == node)
    return query if camera is None else query.where(DriftLook.camera == camera)


def _utc(time: datetime) -> datetime:
    """Return `time` in UTC. Raises ApiError where it has no zone, or lies beyond what can be told."""
    try:
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except OverflowError:
        pass
    raise ApiError(422, "invalid", "from, to: give a time with its zone, for instance 2026-01-31T12:00:00Z")


@router.get("", responses=documented(401, 422))
async def history(
    _: Viewer,
    centre: CentreDep,
    node: Name = None,
    camera: Name = None,
    begin: Annotated[datetime | None, Query(alias="from")] = None,
    end: Annotated[datetime | None, Query(alias="to")] = None,
) -> s.DriftView:
    """Where each camera stands, and the looks at it from `from` (default: a week ago) to `to` (default: now)."""
    now = utc_now()
    until = _utc(end) if end is not None else now
    since = _utc(begin) if begin is not None else until - min(WEEK, until - START)
    async with centre.database.read() as session:
        wanted = _of(node, camera).where(DriftLook.at >= since, DriftLook.at <= until)
        rows = list(await session.scalars(wanted.order_by(DriftLook.at.desc(), DriftLook.id.desc()).limit(MOST_LOOKS)))
        recent = _of(node, camera).where(DriftLook.at >= now - STANDING).order_by(DriftLook.at, DriftLook.id)
        groups: dict[tuple[str, str], list[DriftLook]] = defaultdict(list)
        for row in await session.scalars(recent):
            groups[(row.node, row.camera)].append(row)
        boosts = {(b.node, b.camera): b for b in await session.scalars(select(CameraBoost))}
    cameras = [_standing(groups[key], boosts.get(key), now) for key in sorted(groups)]
    cameras.sort(key=lambda c: c.verdict != "drift")
    return s.DriftView(cameras=cameras, items=[view(row) for row in reversed(rows)])
