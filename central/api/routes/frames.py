"""Frames: search, image, history, labels."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from central.annotate import queue as annotate
from central.annotate.asking.click import points
from central.annotate.boxes import LabelBox, mask_of
from central.api import schemas as s
from central.api import views
from central.api.access import Viewer
from central.api.answers import answering, shown, visible
from central.api.context import CentreDep
from central.api.errors import documented, not_found
from central.api.routes.nodes import JPEG
from central.api.sites import FrameAnnotator
from central.store.blobs import BlobMissingError
from central.store.models import Frame
from protocols.messages import IDENTITY

router = APIRouter(tags=["frames"])
FRAME_ID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
IMMUTABLE: Final = "private, max-age=31536000, immutable"
"""An image never changes under its id; it is not for shared caches."""
Limit = Annotated[int, Query(ge=1, le=s.MAX_PAGE)]
FrameId = Annotated[str, Path(max_length=64)]
Name = Annotated[str, Query(pattern=IDENTITY)]


@router.get("/frames", responses=documented(401, 422))
async def frames(
    person: Viewer,
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
        items = await shown(session, rows[:limit], person)
    return s.FramePage(items=items, next=items[-1].id if len(rows) > limit else None)


@router.get("/frames/{frame}", responses=documented(401, 404))
async def frame(frame: FrameId, person: Viewer, centre: CentreDep) -> s.FrameView:
    """One frame."""
    async with answering(centre, person), centre.database.read() as session:
        return (await shown(session, [await annotate.load(session, frame)], person))[0]


@router.get("/frames/{frame}/image", response_class=Response, responses=JPEG | documented(401, 404, 503))
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
        data = await centre.blobs.read(row.blob, row.sha256)
    except BlobMissingError:
        raise not_found(f"image of frame {frame}") from None
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get("/frames/{frame}/history", responses=documented(401, 404))
async def history(frame: FrameId, person: Viewer, centre: CentreDep) -> s.HistoryView:
    """Every answer about a frame, oldest first; none to somebody whose second opinion is wanted."""
    async with answering(centre, person), centre.database.read() as session:
        row = await annotate.load(session, frame)
        rows = await annotate.history(session, frame) if visible(row, person) else []
        clicked = (await points(session, [frame])).get(frame, ()) if rows else ()
        return s.HistoryView(items=[views.change(row, clicked) for row in rows])


@router.get("/frames/{frame}/previous", responses=documented(401, 404))
async def previous(frame: FrameId, person: Viewer, centre: CentreDep) -> s.FrameView:
    """The last labelled frame of the same camera before this one."""
    async with answering(centre, person), centre.database.read() as session:
        row = await annotate.previous(session, await annotate.load(session, frame), person.name)
        if row is None:
            raise not_found(f"labelled frame of this camera before {frame}")
        return (await shown(session, [row], person))[0]


def answer_of(frame: str, body: s.LabelsBody, author: str) -> annotate.Answer:
    """Return what `author` sent about `frame`."""
    boxes = [LabelBox(b.box, b.label, mask=mask_of(b.mask), origin=b.origin) for b in body.boxes]
    return annotate.Answer(frame, body.revision, author, boxes, body.complete_for, tags=body.tags, seconds=body.seconds)


@router.put("/frames/{frame}/labels", responses=documented(401, 403, 404, 409, 422))
async def label(frame: FrameId, body: s.LabelsBody, person: FrameAnnotator, centre: CentreDep) -> s.FrameView:
    """Replace the labels of a frame. Where somebody else was quicker: 409, with the frame as it is now in `detail`.

    Where a second opinion is wanted of whoever asks, the answer is that opinion, and changes no label.
    """
    project, share = centre.profile, centre.settings.double_share
    tags = [tag.name for tag in project.tags]
    answer = answer_of(frame, body, person.name)
    async with answering(centre, person), centre.database.write() as session:
        row = await annotate.label(session, answer, project.label_names, tags, share)
        view = (await shown(session, [row], person))[0]
    centre.notifier.emit("label")
    return view


@router.post("/frames/{frame}/skip", responses=documented(401, 403, 404, 409, 422))
async def skip(frame: FrameId, body: s.SkipBody, person: FrameAnnotator, centre: CentreDep) -> s.FrameView:
    """Put a frame aside without labels: for another time, or because nobody can tell what is on it."""
    reason: annotate.SkipReason = "cant_tell" if body.reason == "cant_tell" else "skipped"
    async with answering(centre, person), centre.database.write() as session:
        row = await annotate.skip(session, annotate.Answer(frame, body.revision, person.name), reason)
        view = (await shown(session, [row], person))[0]
    centre.notifier.emit("label")
    return view
