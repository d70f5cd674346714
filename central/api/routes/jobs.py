"""Work in the background: the queue, what runs, what is over; logs, stopping, trying again, and starting a backlog."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final, cast

from fastapi import APIRouter, Path, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.api import schemas as s
from central.api.access import Engineer, Viewer
from central.api.context import Centre, CentreDep
from central.api.errors import ApiError, documented, not_found
from central.jobs import CLUSTER_LIMITS, LIMITS, PERSON, JobError, Ticket, rounds, rows
from central.jobs.backlog import FUNCTION as BACKLOG
from central.jobs.titles import title
from central.releases.offers import newest
from central.store import models as m

router = APIRouter(prefix="/jobs", tags=["jobs"])
JobId = Annotated[str, Path(max_length=36)]
WAITING: Final = 500
"""Waiting jobs that are shown."""
ATTEMPTS: Final = 5
"""Of a backlog: a node of a cluster may die now and then in a night's work."""


def view(row: m.Job, ahead: int = 0) -> s.JobView:
    """Return the view of a job."""
    kind, state = cast(s.JobKind, row.kind), cast(s.JobState, row.state)  # the database holds no others
    return s.JobView(
        id=row.id, kind=kind, title=title(row), state=state,
        progress=min(1.0, max(0.0, row.progress)), detail=row.detail, by=row.by, priority=row.priority,
        attempts=row.attempts, max_attempts=row.max_attempts, place=row.place, stopping=row.cancel,
        not_before=row.not_before, created=row.created, started=row.started, finished=row.finished, ahead=ahead,
        round=row.args.get("round_id"), result=row.result,
    )  # fmt: skip


async def _get(session: AsyncSession, job: str) -> m.Job:
    row = await session.get(m.Job, job)
    if row is None:
        raise not_found(f"job {job}")
    return row


async def _view(centre: Centre, job: str) -> s.JobView:
    async with centre.database.read() as session:
        return view(await _get(session, job))


def _waiting(found: list[m.Job]) -> list[s.JobView]:
    """Return the views of waiting jobs, given in the order in which they begin."""
    before: Counter[str] = Counter()
    views = []
    for row in found:
        views.append(view(row, before[row.kind]))
        before[row.kind] += 1
    return views


@router.get("", responses=documented(401))
async def jobs(
    _: Viewer,
    centre: CentreDep,
    chores: Annotated[bool, Query(description="Also what the centre does by itself, when it is over.")] = False,
    limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE, description="Of those that are over.")] = 50,
) -> s.JobsView:
    """The queue in its order, what runs, and what is over, newest first."""
    over = select(m.Job).where(m.Job.state.in_(rows.OVER))
    if not chores:
        over = over.where((m.Job.kind != "chore") | (m.Job.state == "failed"))
    first = (m.Job.priority.desc(), m.Job.created, m.Job.id)
    async with centre.database.read() as session:
        waiting = select(m.Job).where(m.Job.state == "queued").order_by(*first).limit(WAITING)
        queued = list(await session.scalars(waiting))
        running = list(await session.scalars(select(m.Job).where(m.Job.state == "running").order_by(m.Job.started)))
        ended = list(await session.scalars(over.order_by(m.Job.finished.desc(), m.Job.id.desc()).limit(limit)))
    cluster = centre.settings.jobs
    limits = CLUSTER_LIMITS if cluster else LIMITS
    at_work, waits = Counter(r.kind for r in running), Counter(r.kind for r in queued)
    kinds = [s.JobKindView(kind=k, running=at_work[k], queued=waits[k], limit=n) for k, n in limits.items()]
    return s.JobsView(
        queued=_waiting(queued), running=[view(r) for r in running], over=[view(r) for r in ended], kinds=kinds,
        cluster=cluster,
    )  # fmt: skip


@router.post("/backlog", status_code=201, responses=documented(401, 403, 404, 409, 422, 503))
async def start_backlog(body: s.BacklogBody, person: Engineer, centre: CentreDep) -> s.JobView:
    """Have a pack propose on every waiting frame that it has not looked at: 409 where it is at it already."""
    async with centre.database.read() as session:
        release = await newest(session)
        address = body.pack or (None if release is None else release.pack)
        if address is None:
            raise ApiError(409, "no_pack", "no pack is released; release one, or name one")
        row = await session.get(m.Pack, address)
        active = select(m.Job).where(m.Job.function == BACKLOG, m.Job.state.in_(rows.LIVE))
        folder = str(centre.settings.packs / address)
        busy = next((j.id for j in await session.scalars(active) if j.args.get("pack") == folder), None)
    if row is None:
        raise not_found(f"pack {address}")
    if busy is not None:
        raise ApiError(409, "busy", f"job {busy} looks at the backlog with this pack", {"job": busy})
    settings = centre.settings
    args = {
        "labels": list(centre.profile.label_names), "pack": folder, "every": body.every,
        "closely": body.closely, "limit": body.limit, "workers": body.workers,
    }  # fmt: skip
    secrets = {
        "database_url": settings.database, "blob_url": settings.blob_url, "blob_folder": str(settings.data / "blobs"),
    }  # fmt: skip
    ticket = Ticket("scoring", f"Backlog looked at by {row.name or address[:12]}", person.name, PERSON, ATTEMPTS)
    try:
        job = await centre.jobs.submit(BACKLOG, args, None, secrets, ticket)
    except JobError as error:
        raise ApiError(503, "unavailable", str(error)) from None
    return await _view(centre, job)


@router.get("/{job}", responses=documented(401, 404))
async def one(job: JobId, _: Viewer, centre: CentreDep) -> s.JobView:
    """One job."""
    return await _view(centre, job)


@router.get("/{job}/log", responses=documented(401, 403, 404))
async def log(job: JobId, _: Engineer, centre: CentreDep) -> s.JobLogView:
    """The end of what a job printed."""
    try:
        return s.JobLogView(id=job, text=await centre.jobs.log(job))
    except JobError:
        raise not_found(f"job {job}") from None


@router.post("/{job}/cancel", responses=documented(401, 403, 404, 409))
async def cancel(job: JobId, _: Engineer, centre: CentreDep) -> s.JobView:
    """Take a job out of the queue, or stop it."""
    await _view(centre, job)
    if not await centre.jobs.cancel(job):
        raise ApiError(409, "over", f"job {job} does not run any more")
    return await _view(centre, job)


@router.post("/{job}/retry", responses=documented(401, 403, 404, 409, 503))
async def retry(job: JobId, _: Engineer, centre: CentreDep) -> s.JobView:
    """Queue a job that failed or was cancelled once more; a round goes on where it was, by a new job."""
    found = await _view(centre, job)
    if found.round is not None:
        await _go_on(centre, found.round)
    elif not await centre.jobs.retry(job):
        raise ApiError(409, "not_over", f"job {job} is {found.state}; only what failed or was cancelled is tried again")
    return await _view(centre, job)


async def _go_on(centre: Centre, round_id: str) -> None:
    watched = rounds.Rounds(centre.database, centre.jobs, centre.notifier, centre.settings.data, centre.fleet.register)
    try:
        await watched.retry(round_id, rounds.settings_of(centre.settings))
    except rounds.RoundBusyError as error:
        raise ApiError(409, "busy", str(error), {"round": error.round_id}) from None
    except JobError as error:
        raise ApiError(409, "not_over", str(error)) from None
