"""Nodes: live thumbnails and commands."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response

from central.api import schemas as s
from central.api.errors import documented

router = APIRouter(prefix="/nodes", tags=["nodes"])
JPEG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/{node}/cameras/{camera}/thumbnail", response_class=Response, responses=JPEG | documented(401, 404))
async def thumbnail(node: str, camera: str) -> Response:
    """What the camera sees now; where its node does not answer, its last stored frame."""
    raise NotImplementedError


@router.post("/{node}/command", responses=documented(401, 403, 404, 422, 503))
async def command(node: str, body: s.CommandBody) -> s.CommandResult:
    """Ask something of a node, and wait for its answer."""
    raise NotImplementedError
