"""Releases, and how far each node is with them."""

from __future__ import annotations

from fastapi import APIRouter

from central.api import schemas as s
from central.api.errors import documented

router = APIRouter(prefix="/releases", tags=["releases"])


@router.get("", responses=documented(401))
async def releases() -> list[s.ReleaseView]:
    """All releases, newest first."""
    raise NotImplementedError


@router.post("", status_code=201, responses=documented(401, 403, 404, 422))
async def release(body: s.ReleaseBody) -> s.ReleaseView:
    """Offer a pack to every node. Releasing an earlier pack again is how to go back to it."""
    raise NotImplementedError
