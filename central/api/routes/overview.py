"""The page that an operator opens first."""

from __future__ import annotations

from fastapi import APIRouter

from central.api import schemas as s
from central.api.errors import documented

router = APIRouter(tags=["overview"])


@router.get("/overview", responses=documented(401))
async def overview() -> s.Overview:
    """Nodes, totals, and where each step of the loop stands."""
    raise NotImplementedError
