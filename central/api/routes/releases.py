"""Releases, and how far each node is with them."""

from __future__ import annotations

import asyncio
from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from central.api import schemas as s
from central.api import views
from central.api.access import Engineer, Viewer
from central.api.context import CentreDep, FleetError
from central.api.errors import ApiError, documented, not_found
from central.releases import held, offers
from central.store.models import Pack, Release
from protocols.pack import PackError, open_folder

_log = structlog.get_logger(__name__)
router = APIRouter(prefix="/releases", tags=["releases"])


@router.get("", responses=documented(401))
async def releases(
    _: Viewer, centre: CentreDep, limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE)] = 50
) -> list[s.ReleaseView]:
    """The last releases, newest first."""
    query = select(Release).order_by(Release.number.desc()).limit(limit).options(selectinload(Release.nodes))
    async with centre.database.read() as session:
        return [views.release(row) for row in await session.scalars(query)]


def _check(pack: Pack) -> None:
    try:
        held.check(pack)
    except held.HeldError as error:
        raise ApiError(409, "held", str(error), {"held": pack.held}) from None


@router.post("", status_code=201, responses=documented(401, 403, 404, 409, 422, 503))
async def release(body: s.ReleaseBody, person: Engineer, centre: CentreDep) -> s.ReleaseView:
    """Offer a pack to every node at once. Releasing an earlier pack again is how to go back to it."""
    async with centre.database.read() as session:
        known, running = await session.get(Pack, body.pack), await offers.busy(session)
    if known is None:
        raise not_found(f"pack {body.pack[:12]}")
    if running is not None:
        message = f"rollout {running.id} is {running.state.replace('_', ' ')}; end it first: abort it, or roll it back"
        raise ApiError(409, "busy", message, {"rollout": running.id})
    _check(known)
    try:
        # Every file is read and hashed again: what is offered to a city must be whole.
        if centre.fetch_pack is not None:
            await centre.fetch_pack(known.address)
        await asyncio.to_thread(open_folder, centre.settings.packs / known.address)
        number = await centre.fleet.release(known.address, person.name, body.notes)
    except PackError as error:
        # The error names a file of this machine, which is the log's business.
        _log.error("a pack cannot be released", pack=known.address, reason=str(error))
        message = f"pack {known.address[:12]} is damaged at the centre; restore its files, or release another pack"
        raise ApiError(422, "bad_pack", message) from None
    except FleetError as error:
        raise ApiError(503, "unavailable", str(error)) from None
    async with centre.database.read() as session:
        row = await session.get_one(Release, number, options=[selectinload(Release.nodes)])
        return views.release(row)
