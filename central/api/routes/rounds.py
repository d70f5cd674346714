"""Rounds of learning."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import select

from central.api import schemas as s
from central.api import views
from central.api.access import Engineer, Viewer
from central.api.context import Centre, CentreDep
from central.api.errors import ApiError, documented, not_found
from central.jobs import JobError
from central.jobs import rounds as jobs
from central.releases.shelf import report_key
from central.store.blobs import BlobError
from central.store.models import Round

router = APIRouter(prefix="/rounds", tags=["rounds"])
RoundId = Annotated[str, Path(max_length=36)]
PAGE: Final = "report.html"
SHOWN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/html": {}}, "description": "The report, one page."}
}
POLICY: Final = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox"
)


async def _view(centre: Centre, round_id: str) -> s.RoundView:
    async with centre.database.read() as session:
        row = await session.get(Round, round_id)
    if row is None:
        raise not_found(f"round {round_id}")
    return views.round_(row)


@router.get("", responses=documented(401))
async def rounds(
    _: Viewer, centre: CentreDep, limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE)] = 50
) -> list[s.RoundView]:
    """The last rounds, newest first."""
    async with centre.database.read() as session:
        rows = await session.scalars(select(Round).order_by(Round.created.desc(), Round.id.desc()).limit(limit))
        return [views.round_(row) for row in rows]


@router.post("", status_code=201, responses=documented(401, 403, 409, 422, 503))
async def start(body: s.RoundBody, person: Engineer, centre: CentreDep) -> s.RoundView:
    """Start a round in the background. One runs at a time: 409 while it does."""
    settings = centre.settings
    options = {**body.model_dump(exclude_none=True), **jobs.settings_of(settings)}
    try:
        round_id = await jobs.start(
            centre.database,
            centre.jobs,
            centre.notifier,
            settings.data,
            person.name,
            options,
            centre.fleet.register,
        )
    except jobs.RoundBusyError as error:
        raise ApiError(409, "busy", str(error), {"round": error.round_id}) from None
    except JobError as error:
        raise ApiError(503, "unavailable", str(error)) from None
    return await _view(centre, round_id)


@router.get("/{round_id}", responses=documented(401, 404))
async def one(round_id: RoundId, _: Viewer, centre: CentreDep) -> s.RoundView:
    """One round."""
    return await _view(centre, round_id)


@router.get(
    "/{round_id}/report",
    response_class=Response,
    responses=SHOWN | documented(401, 404),
)
async def report(round_id: RoundId, _: Viewer, centre: CentreDep) -> Response:
    """The report of a round as one HTML page: style and pictures within, no script."""
    await _view(centre, round_id)
    path = centre.settings.data / "rounds" / round_id / PAGE
    try:
        page = await asyncio.to_thread(path.read_bytes)
    except FileNotFoundError:
        page = await _elsewhere(centre, round_id)
    return Response(page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy(page)})


async def _elsewhere(centre: Centre, round_id: str) -> bytes:
    """Return the report of a round that ran at another server. Raises ApiError where there is none."""
    try:
        return await centre.blobs.read(report_key(round_id))
    except BlobError:
        raise not_found(f"report of round {round_id}") from None


def policy(page: bytes) -> str:
    """Return what a report may do: show its own one style sheet, by its hash, and pictures that lie within it."""
    style = page.partition(b"<style>")[2].partition(b"</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    return f"{POLICY}; style-src 'sha256-{digest}'"


@router.post("/{round_id}/cancel", responses=documented(401, 403, 404, 409))
async def cancel(round_id: RoundId, _: Engineer, centre: CentreDep) -> s.RoundView:
    """Stop a running round."""
    await _view(centre, round_id)
    if not await jobs.cancel(centre.database, centre.jobs, round_id):
        raise ApiError(409, "over", f"round {round_id} does not run any more")
    return await _view(centre, round_id)
