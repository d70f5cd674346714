"""Wiring: routes, errors, guards, UI."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI

from central.api import errors
from central.api.routes import events, frames, health, nodes, overview, packs, profile, releases, rounds, session
from edge import __version__

PREFIX: Final = "/api/v1"
ROUTERS: Final = (session, overview, nodes, frames, profile, rounds, packs, releases, events, health)


def create_app() -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="Wayside",
        version=__version__,
        summary="Frames chosen at the edge, labelled and learned from at the centre.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    api = APIRouter(prefix=PREFIX)
    for module in ROUTERS:
        api.include_router(module.router)
    app.include_router(api)
    errors.install(app)
    return app
