"""Frames: search, queue, image, labels."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from central.api import schemas as s
from central.api.errors import documented
from central.api.routes.nodes import JPEG

router = APIRouter(tags=["frames"])
Limit = Annotated[int, Query(ge=1, le=s.MAX_PAGE)]


@router.get("/frames", responses=documented(401, 422))
async def frames(
    node: str | None = None,
    camera: str | None = None,
    state: s.FrameState | None = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> s.FramePage:
    """Stored frames, newest first."""
    raise NotImplementedError


@router.get("/queue", responses=documented(401, 422))
async def queue(limit: Limit = 20) -> s.QueueView:
    """Frames that wait for a person, most valuable first."""
    raise NotImplementedError


@router.get("/frames/{frame}", responses=documented(401, 404))
async def frame(frame: str) -> s.FrameView:
    """One frame."""
    raise NotImplementedError


@router.get("/frames/{frame}/image", response_class=Response, responses=JPEG | documented(401, 404))
async def image(frame: str) -> Response:
    """The image of a frame. It never changes."""
    raise NotImplementedError


@router.get("/frames/{frame}/history", responses=documented(401, 404))
async def history(frame: str) -> list[s.HistoryView]:
    """Every change of the labels of a frame, oldest first."""
    raise NotImplementedError


@router.put("/frames/{frame}/labels", responses=documented(401, 403, 404, 409, 422))
async def label(frame: str, body: s.LabelsBody) -> s.FrameView:
    """Replace the labels of a frame. Where somebody else was quicker: 409, with the frame as it is now in `detail`."""
    raise NotImplementedError


@router.post("/frames/{frame}/skip", responses=documented(401, 403, 404, 409, 422))
async def skip(frame: str, body: s.SkipBody) -> s.FrameView:
    """Put a frame aside without labels."""
    raise NotImplementedError
