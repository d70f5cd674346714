"""Logging in and out."""

from __future__ import annotations

from fastapi import APIRouter, Response

from central.api import schemas as s
from central.api.errors import documented

router = APIRouter(prefix="/session", tags=["session"])


@router.post("", responses=documented(401, 422, 429))
async def log_in(body: s.Login, response: Response) -> s.SessionToken:
    """Start a session: sets the cookie `wayside_session` and returns the same token for `Authorization: Bearer`."""
    raise NotImplementedError


@router.get("", responses=documented(401))
async def who_am_i() -> s.SessionView:
    """Say who is logged in."""
    raise NotImplementedError


@router.delete("", status_code=204, responses=documented(401, 403))
async def log_out() -> None:
    """End the session."""
    raise NotImplementedError


@router.put("/password", status_code=204, responses=documented(401, 403, 422))
async def change_password(body: s.PasswordChange) -> None:
    """Choose a new password; every other session of this person ends."""
    raise NotImplementedError
