"""Frames: search, queue, image, labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from central.annotate import queue as annotate
from central.annotate.boxes import LabelBox, LabelError
from central.api import schemas as s
from central.api import views
from central.api.access import Annotator, Viewer
from central.api.context import CentreDep
from central.api.errors import ApiError, documented, not_found
from central.api.routes.nodes import JPEG
from central.store.blobs import BlobError
from central.store.models import Frame
from protocols.messages import IDENTITY

router = APIRouter(tags=["frames"])
FRAME_ID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
IMMUTABLE: Final = "private, max-age=31536000, immutable"
"""An image never changes under its id; it is not for shared caches."""
Limit = Annotated[int, Query(ge=1, le=s.MAX_PAGE)]
FrameId = Annotated[str, Path(max_length=64)]
Name = Annotated[str, Query(pattern=IDENTITY)]


@contextmanager
def _answering() -> Iterator[None]:
    """Turn what annotation refuses into answers."""
    try:
        yield
    except annotate.FrameMissingError as error:
        raise not_found(f"frame {str(error)[:64]}") from None
    except annotate.ConflictError as error:
        message = "somebody else changed this frame meanwhile; look at it as it is now and answer again"
        raise ApiError(409, "conflict", message, views.frame(error.frame)) from None
    except LabelError as error:
        raise ApiError(422, error.code, str(error), error.detail) from None


@router.get("/frames", responses=documented(401, 422))
async def frames(
    _: Viewer,
    centre: CentreDep,
    node: Name | None = None,
    camera: Name | None = None,
    state: s.FrameState | None = None,
    cursor: Annotated[str | None, Query(pattern=FRAME_ID)] = None,
    limit: Limit = 50,
) -> s.FramePage:
    """Stored frames, newest first."""
    async with centre.database.read() as session:
        rows = await annotate.page(session, node, camera, state, cursor, limit + 1)
    more = len(rows) > limit
    items = [views.frame(row) for row in rows[:limit]]
    return s.FramePage(items=items, next=items[-1].id if more else None)


@router.get("/queue", responses=documented(401, 422))
async def queue(_: Viewer, centre: CentreDep, limit: Limit = 20) -> s.QueueView:
    """Frames that wait for a person, most valuable first."""
    async with centre.database.read() as session:
        rows, count = await annotate.waiting(session, limit), await annotate.pending(session)
    return s.QueueView(items=[views.frame(row) for row in rows], pending=count)


@router.get("/frames/{frame}", responses=documented(401, 404))
async def frame(frame: FrameId, _: Viewer, centre: CentreDep) -> s.FrameView:
    """One frame."""
    with _answering():
        async with centre.database.read() as session:
            return views.frame(await annotate.load(session, frame))


@router.get("/frames/{frame}/image", response_class=Response, responses=JPEG | documented(401, 404))
async def image(frame: FrameId, request: Request, _: Viewer, centre: CentreDep) -> Response:
    """The image of a frame. It never changes."""
    async with centre.database.read() as session:
        row = await session.get(Frame, frame)
    if row is None:
        raise not_found(f"frame {frame}")
    headers = {"ETag": f'"{row.sha256}"', "Cache-Control": IMMUTABLE}
    if headers["ETag"] in re.split(r",\s*", request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    try:
        data = await centre.blobs.read(row.blob)
    except BlobError:
        raise not_found(f"image of frame {frame}") from None
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get("/frames/{frame}/history", responses=documented(401, 404))
async def history(frame: FrameId, _: Viewer, centre: CentreDep) -> list[s.HistoryView]:
    """Every change of the labels of a frame, oldest first."""
    with _answering():
        async with centre.database.read() as session:
            await annotate.load(session, frame)
            return [views.history(row) for row in await annotate.history(session, frame)]


@router.put("/frames/{frame}/labels", responses=documented(401, 403, 404, 409, 422))
async def label(frame: FrameId, body: s.LabelsBody, person: Annotator, centre: CentreDep) -> s.FrameView:
    """Replace the labels of a frame. Where somebody else was quicker: 409, with the frame as it is now in `detail`."""
    boxes = [LabelBox(b.box, b.label) for b in body.boxes]
    answer = annotate.Answer(frame, body.revision, person.name, boxes, body.complete_for)
    with _answering():
        async with centre.database.write() as session:
            row = await annotate.label(session, answer, centre.profile.label_names)
    centre.notifier.emit("label")
    return views.frame(row)


@router.post("/frames/{frame}/skip", responses=documented(401, 403, 404, 409, 422))
async def skip(frame: FrameId, body: s.SkipBody, person: Annotator, centre: CentreDep) -> s.FrameView:
    """Put a frame aside without labels."""
    with _answering():
        async with centre.database.write() as session:
            row = await annotate.skip(session, annotate.Answer(frame, body.revision, person.name))
    centre.notifier.emit("label")
    return views.frame(row)
