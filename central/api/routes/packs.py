"""Packs of the registry."""

from __future__ import annotations

from fastapi import APIRouter

from central.api import schemas as s
from central.api.errors import documented

router = APIRouter(prefix="/packs", tags=["packs"])


@router.get("", responses=documented(401))
async def packs() -> list[s.PackView]:
    """All packs, newest first."""
    raise NotImplementedError
