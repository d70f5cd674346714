"""How cameras change: every look at them, and where each one stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from sqlalchemy import Select, func, select

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
LATEST_DAYS: Final = 30
"""How far back it is looked for where a camera stands, and since when."""
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


def _of(query: Select[tuple[DriftLook]], node: str | None, camera: str | None) -> Select[tuple[DriftLook]]:
    if node is not None:
        query = query.where(DriftLook.node == node)
    return query if camera is None else query.where(DriftLook.camera == camera)


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
    end = end or now
    if any(time is not None and time.tzinfo is None for time in (begin, end)):
        raise ApiError(422, "invalid", "from, to: give a time with its zone, for instance 2026-01-31T12:00:00Z")
    begin = begin or end - timedelta(days=min(7, (end - datetime.min.replace(tzinfo=end.tzinfo)).days))
    async with centre.database.read() as session:
        wanted = _of(select(DriftLook), node, camera).where(DriftLook.at >= begin, DriftLook.at <= end)
        rows = list(await session.scalars(wanted.order_by(DriftLook.at.desc(), DriftLook.id.desc()).limit(MOST_LOOKS)))
        recent = _of(select(DriftLook), node, camera).where(DriftLook.at >= now - timedelta(days=LATEST_DAYS))
        newest = await session.scalar(select(func.max(DriftLook.at)))
        if newest is not None and newest < now - timedelta(days=LATEST_DAYS):
            recent = _of(select(DriftLook), node, camera).where(DriftLook.at >= newest - timedelta(days=LATEST_DAYS))
        groups: dict[tuple[str, str], list[DriftLook]] = defaultdict(list)
        for row in await session.scalars(recent.order_by(DriftLook.at, DriftLook.id)):
            groups[(row.node, row.camera)].append(row)
        boosts = {(b.node, b.camera): b for b in await session.scalars(select(CameraBoost))}
    cameras = [_standing(groups[key], boosts.get(key), now) for key in sorted(groups)]
    cameras.sort(key=lambda c: c.verdict != "drift")
    return s.DriftView(cameras=cameras, items=[view(row) for row in reversed(rows)])
