"""How cameras went: one camera's timeline, and a small line of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from central.api import schemas as s
from central.api.access import Viewer
from central.api.context import CentreDep
from central.api.errors import ApiError, documented, not_found
from central.api.routes.nodes import Identity
from central.store import timeline as store
from central.store import trend
from central.store.models import Camera
from protocols.messages import utc_now

router = APIRouter(tags=["nodes"])
DAY: Final = timedelta(days=1)
LONGEST: Final = timedelta(days=31)
"""Of one answer; what is older is found on the page of data."""
SHORTEST: Final = timedelta(minutes=1)
FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Times that the database can reckon with, and that a camera may have."""
TREND_POINTS: Final = 24


def _range(begin: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Return whole seconds. Raises ApiError."""
    for name, time in (("from", begin), ("to", end)):
        if time is not None and time.tzinfo is None:
            raise ApiError(422, "invalid", f"{name}: give a time with its zone, for instance 2026-01-31T12:00:00Z")
        if time is not None and not FIRST <= time <= LAST:
            raise ApiError(422, "invalid", f"{name}: must lie between {FIRST.year} and {LAST.year}")
    until = (end or utc_now()).astimezone(UTC).replace(microsecond=0)
    since = until - DAY if begin is None else begin.astimezone(UTC).replace(microsecond=0)
    if not SHORTEST <= until - since <= LONGEST:
        raise ApiError(422, "invalid", f"from, to: must be a minute to {LONGEST.days} days apart, `from` first")
    return since, until


def _frame(mark: store.Mark) -> s.TimelineFrame:
    row = mark.frame
    scores = {name: float(v) for name in store.SCORES if (v := row.assessment.get(name)) is not None}
    return s.TimelineFrame(
        id=row.id, at=row.captured_at, state=row.state, scores=scores,  # type: ignore[arg-type]
        reason=str(row.selection.get("reason", "")),
    )  # fmt: skip


def _view(node: str, camera: str, found: store.Timeline) -> s.TimelineView:
    step = timedelta(seconds=found.step_s)
    return s.TimelineView(
        node=node,
        camera=camera,
        start=found.start,
        end=found.end,
        step_s=found.step_s,
        frames=sum(point.frames for point in found.points),
        points=[
            s.TimelinePoint(at=found.start + p.number * step, frames=p.frames, mean=p.mean, highest=p.highest)
            for p in found.points
        ],
        marked=[_frame(mark) for mark in found.marks],
        spans=[s.TimelineSpan(kind=one.kind, text=one.text, start=one.start, end=one.end) for one in found.spans],
        blur=found.watched.blur if found.watched else [],
        uncertainty=found.watched.uncertainty if found.watched else [],
    )


@router.get("/nodes/{node}/cameras/{camera}/timeline", responses=documented(401, 404, 422))
async def timeline(
    node: Identity,
    camera: Identity,
    _: Viewer,
    centre: CentreDep,
    begin: Annotated[datetime | None, Query(alias="from", description="Default: a day before `to`.")] = None,
    end: Annotated[datetime | None, Query(alias="to", description="Default: now.")] = None,
    points: Annotated[int, Query(ge=1, le=store.MAX_POINTS)] = 120,
) -> s.TimelineView:
    """Scores of stored frames and of all assessed ones, what was wrong, and the frames to look at, in steps."""
    since, until = _range(begin, end)

    def work(session: Session) -> store.Timeline | None:
        if session.get(Camera, (node, camera)) is None:
            return None
        return store.timeline(session, node, camera, since, until, points)

    found = await centre.database.run_read(work)
    if found is None:
        raise not_found(f"camera {camera} of node {node}")
    return _view(node, camera, found)


@router.get("/trends", responses=documented(401))
async def trends(_: Viewer, centre: CentreDep) -> s.TrendsView:
    """Blur and uncertainty of every camera over the last day, an hour a point."""
    until = trend.slot_of(utc_now()) + trend.SLOT
    found = await centre.database.run_read(lambda session: trend.trends(session, until - DAY, until, TREND_POINTS))
    cameras = [s.TrendView(node=t.node, camera=t.camera, blur=t.blur, uncertainty=t.uncertainty) for t in found]
    return s.TrendsView(start=until - DAY, end=until, cameras=cameras)
