"""Nodes: live thumbnails and commands."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response

from central.api import schemas as s
from central.api.access import Engineer, Viewer
from central.api.context import Centre, CentreDep, FleetError
from central.api.errors import ApiError, documented, not_found
from central.api.thumbnails import is_jpeg
from central.store.blobs import BlobError
from central.store.models import Camera, Frame, Node
from protocols.messages import IDENTITY

router = APIRouter(prefix="/nodes", tags=["nodes"])
JPEG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
Identity = Annotated[str, Path(pattern=IDENTITY)]


async def _stored(centre: Centre, frame: str | None) -> bytes | None:
    """Return the image of a stored frame, None where there is none."""
    if frame is None:
        return None
    async with centre.database.read() as session:
        row = await session.get(Frame, frame)
    if row is None:
        return None
    try:
        return await centre.blobs.read(row.blob, row.sha256)
    except BlobError:
        return None


async def _live(centre: Centre, node: str, camera: str) -> bytes | None:
    """Return what the camera sees now, None where its node does not say."""
    try:
        reply = await centre.fleet.command(node, "snapshot", camera)
    except FleetError:
        return None
    return reply.image if reply.ok and is_jpeg(reply.image) else None


@router.get("/{node}/cameras/{camera}/thumbnail", response_class=Response, responses=JPEG | documented(401, 404, 422))
async def thumbnail(node: Identity, camera: Identity, _: Viewer, centre: CentreDep) -> Response:
    """What the camera sees now; where its node does not answer, its last stored frame."""
    async with centre.database.read() as session:
        row, owner = await session.get(Camera, (node, camera)), await session.get(Node, node)
    if row is None or owner is None:
        raise not_found(f"camera {camera} of node {node}")
    live = None
    if owner.state == "online":
        live = await centre.thumbnails.get(node, camera, lambda: _live(centre, node, camera))
    data = live or await _stored(centre, row.last_frame_id)
    if data is None:
        raise ApiError(404, "not_found", f"camera {camera} of node {node} has no image yet")
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=2"})


@router.post("/{node}/command", responses=documented(401, 403, 404, 422, 503))
async def command(node: Identity, body: s.CommandBody, _: Engineer, centre: CentreDep) -> s.CommandResult:
    """Ask something of a node, and wait for its answer."""
    async with centre.database.read() as session:
        known = await session.get(Node, node)
    if known is None:
        raise not_found(f"node {node}")
    try:
        reply = await centre.fleet.command(node, body.action, body.camera or "")
    except FleetError as error:
        raise ApiError(503, "no_answer", str(error)) from None
    return s.CommandResult(ok=reply.ok, detail=reply.detail)
