"""Whether the centre lives, can work, and how it fares. For machines."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from central.api import schemas as s
from central.api.access import whoever
from central.api.context import Centre, CentreDep
from central.api.errors import ApiError, documented
from central.api.metrics import scrape
from central.api.requests import Served
from central.settings import is_loopback
from edge import __version__

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> s.HealthView:
    """The process answers."""
    return s.HealthView(status="ok", version=__version__)


async def _database(centre: Centre) -> str:
    try:
        async with centre.database.read(wait=False) as session:
            await session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return f"{type(error).__name__}; see the log"
    return ""


@router.get("/ready", responses={503: {"model": s.HealthView}})
async def ready(response: Response, centre: CentreDep) -> s.HealthView:
    """The database, the broker and the store of the images are there, and this server is not about to end; 503 while
    that is not so."""
    database, images = await asyncio.gather(_database(centre), centre.blobs.trouble())
    checks = {"database": database, "broker": "; ".join(centre.fleet.problems()), "images": images}
    if centre.draining:
        checks["server"] = "it ends; ask another one"
    well = not any(checks.values())
    response.status_code = 200 if well else 503
    return s.HealthView(status="ok" if well else "failing", version=__version__, checks=checks)


@router.get("/metrics", response_class=PlainTextResponse, responses=documented(403))
async def metrics(request: Request, centre: CentreDep) -> Response:
    """Prometheus metrics: from this machine, or with a login."""
    near = request.client is not None and is_loopback(request.client.host) and not centre.settings.behind_tls
    if not near and await whoever(request, centre) is None:
        raise ApiError(403, "forbidden", "metrics are for this machine, or with a bearer token")
    served = getattr(request.app.state, "served", None) or Served()
    return Response(await scrape(centre, served), media_type="text/plain; version=0.0.4; charset=utf-8")
