"""Rounds of learning."""

from __future__ import annotations

from fastapi import APIRouter

from central.api import schemas as s
from central.api.errors import documented

router = APIRouter(prefix="/rounds", tags=["rounds"])


@router.get("", responses=documented(401))
async def rounds() -> list[s.RoundView]:
    """All rounds, newest first."""
    raise NotImplementedError


@router.post("", status_code=201, responses=documented(401, 403, 409, 422))
async def start(body: s.RoundBody) -> s.RoundView:
    """Start a round in the background. One runs at a time: 409 while it does."""
    raise NotImplementedError


@router.get("/{round_id}", responses=documented(401, 404))
async def one(round_id: str) -> s.RoundView:
    """One round."""
    raise NotImplementedError


@router.post("/{round_id}/cancel", responses=documented(401, 403, 404, 409))
async def cancel(round_id: str) -> s.RoundView:
    """Stop a running round."""
    raise NotImplementedError
