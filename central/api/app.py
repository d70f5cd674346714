"""Wiring: routes, errors, guards, UI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI

from central.api import errors, ui
from central.api.audit import Audit
from central.api.context import Centre
from central.api.etags import Etags
from central.api.guards import Guards
from central.api.requests import Requests
from central.api.routes import (
    accuracy,
    audit,
    datasets,
    drift,
    events,
    frames,
    health,
    jobs,
    nodes,
    overview,
    packs,
    policies,
    profile,
    queue,
    releases,
    retention,
    rollouts,
    rounds,
    rules,
    search,
    servers,
    session,
    storage,
    timeline,
    tokens,
    users,
    webhooks,
    workbench,
)
from edge import __version__

PREFIX: Final = "/api/v1"
ROUTERS: Final = (
    session, overview, nodes, timeline, queue, frames, workbench, search, profile, datasets, rounds, jobs, rules, packs,
    releases, rollouts, accuracy, drift, policies, events, health, servers, users, tokens, audit, webhooks, storage,
    retention,
)  # fmt: skip
OpenCentre = Callable[[], AbstractAsyncContextManager[Centre]]


def create_app(open_centre: OpenCentre | None = None, dist: Path = ui.DIST) -> FastAPI:
    """Return the application. `open_centre` gives what the routes work with, from start to stop; `dist` is the UI."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if open_centre is None:
            raise RuntimeError("this application can only describe itself; give it a centre to serve")
        async with open_centre() as centre:
            app.state.centre = centre
            yield

    app = FastAPI(
        title="Wayside",
        version=__version__,
        summary="Frames chosen at the edge, labelled and learned from at the centre.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: "_".join((*map(str, route.tags[:1]), route.name)),
        lifespan=lifespan,
    )
    api = APIRouter(prefix=PREFIX)
    for module in ROUTERS:
        api.include_router(module.router)
    app.include_router(api)
    ui.install(app, dist)
    errors.install(app)
    app.add_middleware(Etags)
    app.add_middleware(Audit, prefix=PREFIX)
    app.add_middleware(Guards)
    app.add_middleware(Requests, prefix=PREFIX)
    return app
