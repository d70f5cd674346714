"""What this project labels."""

from __future__ import annotations

from fastapi import APIRouter

from central.api import schemas as s
from central.api.errors import documented

router = APIRouter(tags=["profile"])


@router.get("/profile", responses=documented(401))
async def profile() -> s.ProfileView:
    """Labels, with their colours and keys, and tags."""
    raise NotImplementedError
