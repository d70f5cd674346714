"""What this project labels."""

from __future__ import annotations

from fastapi import APIRouter

from central.api import schemas as s
from central.api import views
from central.api.access import Viewer
from central.api.context import CentreDep
from central.api.errors import documented

router = APIRouter(tags=["profile"])


@router.get("/profile", responses=documented(401))
async def profile(_: Viewer, centre: CentreDep) -> s.ProfileView:
    """Labels, with their colours and keys, and tags."""
    return views.profile(centre.profile)
