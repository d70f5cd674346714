"""The page that an operator opens first."""

from __future__ import annotations

from fastapi import APIRouter

from central.api import schemas as s
from central.api import summary
from central.api.access import Viewer
from central.api.context import CentreDep
from central.api.errors import documented

router = APIRouter(tags=["overview"])


@router.get("/overview", responses=documented(401))
async def overview(_: Viewer, centre: CentreDep) -> s.Overview:
    """Nodes, totals, and where each step of the loop stands."""
    counts = await centre.totals()
    async with centre.database.read() as session:
        return await summary.overview(session, counts)
