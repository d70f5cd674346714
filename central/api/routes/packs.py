"""Packs of the registry."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.api import schemas as s
from central.api import views
from central.api.access import Viewer
from central.api.context import CentreDep
from central.api.errors import documented
from central.store.models import Node, Pack

router = APIRouter(prefix="/packs", tags=["packs"])


async def running(session: AsyncSession) -> dict[str, list[str]]:
    """Return the nodes by the address of the pack that they run."""
    found: dict[str, list[str]] = {}
    for name, pack in await session.execute(select(Node.name, Node.pack).order_by(Node.name)):
        if pack is not None:
            found.setdefault(pack, []).append(name)
    return found


@router.get("", responses=documented(401))
async def packs(
    _: Viewer, centre: CentreDep, limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE)] = 50
) -> list[s.PackView]:
    """The last packs, newest first."""
    async with centre.database.read() as session:
        nodes = await running(session)
        rows = await session.scalars(select(Pack).order_by(Pack.registered.desc(), Pack.address).limit(limit))
        return [views.pack(row, nodes) for row in rows]
