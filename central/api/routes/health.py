"""Whether the centre lives, can work, and how it fares. For machines: no login."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from central.api import schemas as s
from central.api.errors import documented

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> s.HealthView:
    """The process answers."""
    raise NotImplementedError


@router.get("/ready", responses={503: {"model": s.HealthView}})
async def ready(response: Response) -> s.HealthView:
    """The database, the blobs and the broker are there; 503 while one is not."""
    raise NotImplementedError


@router.get("/metrics", response_class=PlainTextResponse, responses=documented(403))
async def metrics() -> str:
    """Prometheus metrics; from this machine only, or with a login."""
    raise NotImplementedError
